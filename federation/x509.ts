import 'reflect-metadata';

/** The X.509 library, loaded after the decorator metadata that its containers need. Import it from here only. */
export * from '@peculiar/x509';
