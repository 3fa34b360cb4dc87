import './decorator-metadata';

/** The X.509 library, loaded after what it needs. Import it from here only. */
export * from '@peculiar/x509';
