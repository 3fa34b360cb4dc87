import { z } from 'zod';
import { ClaraError, type Fault, showFault, showValue } from '../../base/errors';
import { DTYPES } from './dtype';
import { surveyKeys } from './header-text';
import { byteSizeOf, type TensorInfo, type TensorLayout, type TensorSpec } from './layout';

/**
 * The head of a safetensors file: 8 bytes little-endian length N, then N bytes of JSON that map each tensor's name to dtype,
 * shape and byte range, then the data without holes (https://github.com/huggingface/safetensors, "Format").
 *
 * A header comes from a peer or a trainer, so everything about it is bounded and a wrong one is refused whole.
 */

export const LENGTH_PREFIX_BYTES = 8;
/** About 100,000 tensors; the largest published models have a few thousand. */
export const MAX_HEADER_BYTES = 16 * 1024 * 1024;
const MAX_NAME_LENGTH = 512;
const MAX_AXES = 32;
/** The data section that {@link encodeHeader} announces starts at a multiple of this, so that any dtype can be mapped. */
const DATA_ALIGNMENT = 8;
const METADATA_KEY = '__metadata__';
/** A message stays readable whatever the number of faults; the error's `faults` hold more. */
const FAULTS_IN_MESSAGE = 8;
const FAULTS_KEPT = 1000;

const count = z.number().int().min(0);
const entrySchema = z.strictObject({
  dtype: z.enum(DTYPES),
  // In two steps, so that a list of a million wrong sizes is one fault.
  shape: z.array(z.unknown()).max(MAX_AXES).pipe(z.array(count)),
  data_offsets: z.tuple([count, count]),
});

export interface HeaderLimits {
  /** Longest JSON that is read. @default MAX_HEADER_BYTES */
  readonly maxHeaderBytes?: number;
}

export interface ParseHeaderOptions extends HeaderLimits {
  /** Size of the whole file; when given, the tensors must fill it exactly. */
  readonly fileBytes?: number;
  /** What the message calls the file. @default 'safetensors header' */
  readonly name?: string;
}

/**
 * How many bytes length prefix and JSON take together, from the first 8 bytes of a file: read so many, then
 * {@link parseHeader}. Nothing is allocated before this bound holds.
 *
 * @throws ClaraError `corrupt` when the prefix is incomplete or announces more than the limit
 */
export function headerLength(firstBytes: Uint8Array, options: ParseHeaderOptions = {}): number {
  const { maxHeaderBytes = MAX_HEADER_BYTES, fileBytes, name = 'safetensors header' } = options;
  if (firstBytes.length < LENGTH_PREFIX_BYTES) {
    throw corrupt(name, [{ path: 'length', rule: `needs ${LENGTH_PREFIX_BYTES} bytes, found ${firstBytes.length}` }]);
  }
  const view = new DataView(firstBytes.buffer, firstBytes.byteOffset, LENGTH_PREFIX_BYTES);
  const announced = view.getBigUint64(0, true);
  const fault = (rule: string): ClaraError => corrupt(name, [{ path: 'length', value: `${announced} bytes`, rule }]);
  if (announced > BigInt(maxHeaderBytes)) throw fault(`must be at most ${maxHeaderBytes} bytes of header`);
  const total = LENGTH_PREFIX_BYTES + Number(announced);
  if (fileBytes !== undefined && total > fileBytes) throw fault(`must fit into the file of ${fileBytes} bytes`);
  return total;
}

/**
 * Reads a header: `bytes` starts with the length prefix and holds at least the whole JSON; what follows is not looked at.
 *
 * @throws ClaraError `corrupt` with every fault found, each with the tensor's name
 */
export function parseHeader(bytes: Uint8Array, options: ParseHeaderOptions = {}): TensorLayout {
  const { fileBytes, name = 'safetensors header' } = options;
  const length = headerLength(bytes, options);
  if (bytes.length < length) {
    throw corrupt(name, [{ path: 'length', value: `${length} bytes`, rule: `is more than the ${bytes.length} there` }]);
  }
  const faults: Fault[] = [];
  const header = parseJson(bytes.subarray(LENGTH_PREFIX_BYTES, length), name);
  for (const path of header.repeated.slice(0, FAULTS_KEPT))
    faults.push({ path, rule: 'appears twice; a name belongs to one tensor' });

  const metadata = readMetadata(header.value[METADATA_KEY], faults);
  const tensors = readEntries(header, faults);
  // Ranges mean something only when all of them could be read.
  const dataBytes = faults.length === 0 ? checkRanges(tensors, faults) : 0;
  const total = length + dataBytes;
  if (faults.length === 0 && fileBytes !== undefined && total !== fileBytes) {
    const problem = fileBytes < total ? 'is truncated' : 'has bytes that no tensor owns';
    faults.push({ path: 'file', value: `${fileBytes} bytes`, rule: `${problem}; the header describes ${total} bytes` });
  }
  if (faults.length > 0) throw corrupt(name, faults);
  // A copy, whatever kind of array `bytes` is: Buffer.slice would share its memory with the caller.
  const headerBytes = new Uint8Array(bytes.subarray(0, length));
  return { tensors, metadata, headerBytes, dataBytes, fileBytes: total };
}

/**
 * Length prefix and JSON for tensors whose data follow one another in the order of `specs`. Equal arguments give equal
 * bytes. The JSON is padded by spaces so that the data section starts at a multiple of 8.
 *
 * @throws ClaraError `invalid-input` with every fault of the specs
 */
export function encodeHeader(specs: Iterable<TensorSpec>, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const faults: Fault[] = [];
  const names = new Set<string>();
  const members: string[] = [];
  if (Object.keys(metadata).length > 0) {
    readMetadata(metadata, faults);
    members.push(`${JSON.stringify(METADATA_KEY)}:${JSON.stringify(metadata)}`);
  }
  let begin = 0;
  for (const { name, dtype, shape } of specs) {
    if (names.has(name)) faults.push({ path: name, rule: 'appears twice; a name belongs to one tensor' });
    names.add(name);
    const bytes = byteSizeOf({ dtype, shape });
    const entry = { dtype, shape, data_offsets: [begin, begin + (bytes ?? 0)] };
    checkEntry(name, entry, faults);
    begin += bytes ?? 0;
    // Written by hand: as keys of an object, names like "0" would move to the front.
    members.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  if (faults.length > 0) throw ClaraError.ofFaults('tensors to write', faults.slice(0, FAULTS_KEPT));

  const json = Buffer.from(`{${members.join(',')}}`);
  const padded = Math.ceil(json.length / DATA_ALIGNMENT) * DATA_ALIGNMENT;
  if (padded > MAX_HEADER_BYTES) {
    throw new ClaraError(
      'invalid-input',
      `tensors to write: the header of ${names.size} tensors takes ${padded} bytes, more than the ${MAX_HEADER_BYTES} that readers accept; shorten names or metadata`,
    );
  }
  const bytes = Buffer.alloc(LENGTH_PREFIX_BYTES + padded, ' ');
  bytes.writeBigUInt64LE(BigInt(padded));
  json.copy(bytes, LENGTH_PREFIX_BYTES);
  return bytes;
}

interface HeaderJson {
  readonly value: Readonly<Record<string, unknown>>;
  /** Keys in the order of the text. */
  readonly keys: readonly string[];
  readonly repeated: readonly string[];
}

function parseJson(json: Uint8Array, name: string): HeaderJson {
  const refuse = (rule: string, cause?: unknown): ClaraError => corrupt(name, [{ path: 'JSON', rule }], cause);
  if (json[0] !== 0x7b) throw refuse('must be an object and start with {');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
  } catch (error) {
    throw refuse('must be UTF-8', error);
  }
  try {
    const survey = surveyKeys(text);
    if (survey.tooDeep) throw refuse('is nested deeper than name, field and list of numbers');
    const value = JSON.parse(text) as Record<string, unknown>;
    return { value, keys: survey.topLevel, repeated: survey.repeated };
  } catch (error) {
    if (error instanceof SyntaxError) throw refuse('must be valid JSON', error);
    throw error;
  }
}

function readEntries(header: HeaderJson, faults: Fault[]): TensorInfo[] {
  const tensors: TensorInfo[] = [];
  for (const name of header.keys) {
    if (name === METADATA_KEY) continue;
    if (faults.length >= FAULTS_KEPT) break;
    const tensor = checkEntry(name, header.value[name], faults);
    if (tensor !== undefined) tensors.push(tensor);
  }
  // An empty tensor lies before the one that begins at the same byte; equal ranges keep the order of the text.
  return tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
}

function checkEntry(name: string, value: unknown, faults: Fault[]): TensorInfo | undefined {
  const fault = (path: string, found: unknown, rule: string): undefined => {
    faults.push({ path, value: found === undefined ? undefined : showValue(found), rule });
  };
  if (name === METADATA_KEY) return fault(name, undefined, 'is reserved for metadata; rename the tensor');
  if (name.length === 0 || name.length > MAX_NAME_LENGTH || /[\p{Cc}\p{Cs}]/u.test(name)) {
    const rule = `a tensor name has 1 to ${MAX_NAME_LENGTH} characters, none of them control characters`;
    return fault('name', name, rule);
  }
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) fault([name, ...issue.path].join('.'), undefined, issue.message);
    return undefined;
  }
  const { dtype, shape, data_offsets } = parsed.data;
  const [begin, end] = data_offsets;
  const bytes = byteSizeOf({ dtype, shape });
  if (bytes === undefined) return fault(`${name}.shape`, shape, `of ${dtype} must describe fewer than 2^53 bytes`);
  if (end - begin !== bytes) {
    return fault(`${name}.data_offsets`, data_offsets, `must span the ${bytes} bytes of ${dtype} ${showValue(shape)}`);
  }
  return { name, dtype, shape, begin, end };
}

function readMetadata(value: unknown, faults: Fault[]): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    faults.push({ path: METADATA_KEY, rule: 'must be an object of texts' });
    return {};
  }
  for (const [key, text] of Object.entries(value)) {
    if (faults.length >= FAULTS_KEPT) break;
    if (typeof text !== 'string') faults.push({ path: `${METADATA_KEY}.${key}`, rule: 'must be text' });
  }
  return value as Record<string, string>;
}

/** Each tensor begins where the one before ends. Returns the length of the data section. */
function checkRanges(tensors: readonly TensorInfo[], faults: Fault[]): number {
  let covered = 0;
  let before = 'the start of the data';
  for (const { name, begin, end } of tensors) {
    const value = `begins at byte ${begin}`;
    if (begin > covered) faults.push({ path: name, value, rule: `must begin at ${covered}, where ${before} ends` });
    if (begin < covered) faults.push({ path: name, value, rule: `overlaps ${before}, which ends at ${covered}` });
    covered = Math.max(covered, end);
    before = name;
  }
  return covered;
}

function corrupt(what: string, found: readonly Fault[], cause?: unknown): ClaraError {
  const faults = found.slice(0, FAULTS_KEPT).map(({ path, value, rule }) => ({
    path: printable(path),
    value,
    rule: printable(rule),
  }));
  const shown = faults.slice(0, FAULTS_IN_MESSAGE).map(showFault).join('; ');
  const rest = faults.length > FAULTS_IN_MESSAGE ? `; and ${faults.length - FAULTS_IN_MESSAGE} more` : '';
  const message = faults.length === 1 ? `${what}: ${shown}` : `${what} has ${faults.length} faults: ${shown}${rest}`;
  return new ClaraError('corrupt', message, { cause, faults });
}

/** Text of the file, or made of it, on one line of bounded length. */
function printable(text: string): string {
  const short = text.length <= MAX_NAME_LENGTH ? text : `${text.slice(0, MAX_NAME_LENGTH)}...`;
  return short.replace(/[\p{Cc}\p{Cs}]/gu, '?');
}

/** Most headers end within a page: then one read is enough. */
const FIRST_READ_BYTES = 4096;

/**
 * The layout of whatever can be read at any place.
 * @param read fills `target` with the bytes from `offset` on, or throws
 * @throws ClaraError as {@link headerLength} and {@link parseHeader}
 */
export async function readHeader(
  read: (offset: number, target: Uint8Array) => Promise<unknown>,
  options: ParseHeaderOptions & { readonly fileBytes: number },
): Promise<TensorLayout> {
  const start = new Uint8Array(Math.min(FIRST_READ_BYTES, options.fileBytes));
  await read(0, start);
  const length = headerLength(start, options);
  if (length <= start.length) return parseHeader(start, options);
  const header = new Uint8Array(length);
  header.set(start);
  await read(start.length, header.subarray(start.length));
  return parseHeader(header, options);
}
