/** NIfTI-1 files, read and written: what other rooms import. */
export type { NiftiDatatype } from './nifti/datatypes';
export type { NiftiHeader, OrientationSource } from './nifti/header';
export { type NiftiVolume, type ReadNiftiOptions, readNifti, readNiftiHeader } from './nifti/reader';
export { type EncodeNiftiOptions, encodeNifti, type WriteNiftiOptions, writeNifti } from './nifti/writer';
