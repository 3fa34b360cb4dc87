/** NRRD files, read and written: what other rooms import. */
export type { NrrdHeader } from './nrrd/header';
export { type ReadNrrdOptions, readNrrd, readNrrdHeader } from './nrrd/reader';
export { type EncodeNrrdOptions, encodeNrrd, writeNrrd } from './nrrd/writer';
