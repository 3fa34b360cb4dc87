import { inflateRawSync } from 'node:zlib';
import { type DataSet, parseDicom } from 'dicom-parser';
import { ClaraError } from '../../base/errors';
import type { Vector3 } from '../volume';

/**
 * A DICOM file (PS3.10) as a tree of elements. Messages say what is wrong with which file and name attributes by keyword;
 * values that may identify a person are never in them.
 */
export interface DicomFile {
  /** What messages call it. */
  readonly name: string;
  readonly transferSyntax: string;
  readonly dataSet: DataSet;
}

const PREAMBLE_BYTES = 128;

export function isDicom(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(PREAMBLE_BYTES, PREAMBLE_BYTES + 4)).toString('latin1') === 'DICM';
}

/**
 * @param maxBytes what a deflated data set may become
 * @throws ClaraError corrupt, invalid-input when it is no DICOM file
 */
export function parseFile(bytes: Uint8Array, name: string, maxBytes: number): DicomFile {
  if (!isDicom(bytes)) {
    throw new ClaraError('invalid-input', `${name} is no DICOM file: bytes 128 to 131 must be "DICM"`);
  }
  const inflater = (all: Uint8Array, position: number): Uint8Array =>
    Buffer.concat([
      all.subarray(0, position),
      inflateRawSync(all.subarray(position), { maxOutputLength: Math.max(1, maxBytes) }),
    ]);
  let dataSet: DataSet;
  try {
    // The types say that an inflater returns nothing; it returns the whole file, inflated.
    dataSet = parseDicom(bytes, { inflater } as unknown as Parameters<typeof parseDicom>[1]);
  } catch (thrown) {
    throw damaged(name, thrown);
  }
  const transferSyntax = dataSet.string('x00020010');
  if (transferSyntax === undefined) throw damaged(name, 'it has no TransferSyntaxUID');
  return { name, transferSyntax, dataSet };
}

/** The parser throws sentences, errors of zlib, and objects with a sentence in them; none quotes a value. */
function damaged(name: string, thrown: unknown): ClaraError {
  const inner = (thrown as { exception?: unknown } | null)?.exception ?? thrown;
  const why = inner instanceof Error ? inner.message : typeof inner === 'string' ? inner : 'it cannot be parsed';
  return new ClaraError('corrupt', `${name} is damaged: ${why.replace(/^dicomParser\.\w+: */, '').slice(0, 120)}`);
}

/** Decimal strings (DS) separated by backslashes; undefined when there are not `count` finite ones. */
export function decimals(dataSet: DataSet, tag: string, count: number): readonly number[] | undefined {
  const parts = dataSet.string(tag)?.split('\\') ?? [];
  const numbers = parts.map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  return numbers.length === count && numbers.every(Number.isFinite) ? numbers : undefined;
}

export function decimal(dataSet: DataSet, tag: string): number | undefined {
  return decimals(dataSet, tag, 1)?.[0];
}

export function vector(dataSet: DataSet, tag: string): Vector3 | undefined {
  return decimals(dataSet, tag, 3) as Vector3 | undefined;
}

/** An unsigned short; undefined also where the element is too short to hold one. */
export function unsignedShort(dataSet: DataSet, tag: string): number | undefined {
  const element = dataSet.elements[tag];
  return element === undefined || element.length < 2 ? undefined : dataSet.uint16(tag);
}

/** The items of a sequence. */
export function itemsOf(dataSet: DataSet | undefined, tag: string): readonly DataSet[] {
  return (dataSet?.elements[tag]?.items ?? []).flatMap((item) => item.dataSet ?? []);
}
