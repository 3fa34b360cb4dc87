import { randomUUID } from 'node:crypto';

/** Unique identifiers of DICOM (PS3.6, annex A) that mean something here. */

export type Encoding = 'native' | 'rle' | 'jpeg' | 'jpeg-lossless' | 'jpeg-ls' | 'jpeg-2000';

/** How pixels of a transfer syntax are stored (PS3.5, section 10 and annex A). */
export const ENCODINGS: Readonly<Record<string, Encoding>> = {
  '1.2.840.10008.1.2': 'native', // implicit, little endian
  '1.2.840.10008.1.2.1': 'native', // explicit, little endian
  '1.2.840.10008.1.2.1.99': 'native', // deflated
  '1.2.840.10008.1.2.2': 'native', // explicit, big endian
  '1.2.840.10008.1.2.5': 'rle',
  '1.2.840.10008.1.2.4.50': 'jpeg', // baseline
  '1.2.840.10008.1.2.4.51': 'jpeg', // extended; its 12-bit form is refused
  '1.2.840.10008.1.2.4.57': 'jpeg-lossless',
  '1.2.840.10008.1.2.4.70': 'jpeg-lossless', // first-order prediction
  '1.2.840.10008.1.2.4.80': 'jpeg-ls',
  '1.2.840.10008.1.2.4.81': 'jpeg-ls', // near-lossless
  '1.2.840.10008.1.2.4.90': 'jpeg-2000', // lossless only
  '1.2.840.10008.1.2.4.91': 'jpeg-2000',
  '1.2.840.10008.1.2.4.201': 'jpeg-2000', // high-throughput (HTJ2K), lossless only
  '1.2.840.10008.1.2.4.202': 'jpeg-2000', // the same, resolutions in order (RPCL)
  '1.2.840.10008.1.2.4.203': 'jpeg-2000', // HTJ2K
};

export const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
export const SEGMENTATION_STORAGE = '1.2.840.10008.5.1.4.1.1.66.4';

/** A new identifier below 2.25, the arc of random UUIDs (PS3.5, annex B.2). */
export function newUid(): string {
  return `2.25.${BigInt(`0x${randomUUID().replaceAll('-', '')}`)}`;
}
