/** DICOM files made element by element from PS3.5, without the code under test. */

export type Syntax = 'implicit' | 'explicit' | 'big-endian';

export type Value = string | readonly number[] | Buffer | readonly Elements[];

/** `ggggeeee VR` to a value: text, numbers, bytes, or the items of a sequence. */
export interface Elements {
  readonly [tagAndVr: string]: Value | undefined;
}

const SYNTAX_UIDS: Readonly<Record<Syntax, string>> = {
  implicit: '1.2.840.10008.1.2',
  explicit: '1.2.840.10008.1.2.1',
  'big-endian': '1.2.840.10008.1.2.2',
};

export function dicomBytes(elements: Elements, syntax: Syntax = 'explicit'): Buffer {
  const meta = encode({ '00020010 UI': SYNTAX_UIDS[syntax] }, 'explicit');
  const length = encode({ '00020000 UL': [meta.length] }, 'explicit');
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), length, meta, encode(elements, syntax)]);
}

export interface SliceFields {
  readonly rows: number;
  readonly columns: number;
  readonly position: readonly number[];
  readonly orientation?: readonly number[];
  /** From row to row, from column to column. */
  readonly spacing?: readonly [number, number];
  /** Stored values, row by row; 16 bits each. */
  readonly pixels: ArrayLike<number>;
  readonly uid?: string;
  readonly more?: Elements;
}

/** A CT slice with a patient in it. */
export function sliceElements(fields: SliceFields, syntax: Syntax = 'explicit'): Elements {
  const {
    rows,
    columns,
    position,
    orientation = [1, 0, 0, 0, 1, 0],
    spacing = [2, 3],
    pixels,
    uid = '1.2.3.9',
  } = fields;
  const stored = Buffer.alloc(pixels.length * 2);
  for (let at = 0; at < pixels.length; at += 1) {
    if (syntax === 'big-endian') stored.writeUInt16BE(pixels[at] & 0xffff, 2 * at);
    else stored.writeUInt16LE(pixels[at] & 0xffff, 2 * at);
  }
  return {
    '00080016 UI': '1.2.840.10008.5.1.4.1.1.2',
    '00080018 UI': uid,
    '00080060 CS': 'CT',
    '00100010 PN': SECRET,
    '00100020 LO': 'ID-4711',
    '0020000d UI': '1.2.3.1',
    '0020000e UI': '1.2.3.2',
    '00200032 DS': position.map(ds).join('\\'),
    '00200037 DS': orientation.map(ds).join('\\'),
    '00200052 UI': '1.2.3.3',
    '00280002 US': [1],
    '00280004 CS': 'MONOCHROME2',
    '00280010 US': [rows],
    '00280011 US': [columns],
    '00280030 DS': spacing.map(ds).join('\\'),
    '00280100 US': [16],
    '00280101 US': [16],
    '00280102 US': [15],
    '00280103 US': [1],
    ...fields.more,
    '7fe00010 OW': stored,
  };
}

export const SECRET = 'Nobody^Known';

export function sliceBytes(fields: SliceFields, syntax: Syntax = 'explicit'): Buffer {
  return dicomBytes(sliceElements(fields, syntax), syntax);
}

/** Sixteen characters hold a number of any scanner to ten digits or more. */
export function ds(value: number): string {
  const text = String(value);
  return text.length <= 16 ? text : value.toExponential(8).length <= 16 ? shortest(value) : '0';
}

function shortest(value: number): string {
  for (let digits = 16; ; digits -= 1) {
    const text = String(Number(value.toPrecision(digits)));
    if (text.length <= 16) return text;
  }
}

const LONG = new Set(['OB', 'OW', 'SQ', 'UN', 'UT']);

function encode(elements: Elements, syntax: Syntax): Buffer {
  const parts = Object.entries(elements)
    .filter((entry): entry is [string, Value] => entry[1] !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => {
      const [tag, vr] = key.split(' ');
      const content = contentOf(value, vr, syntax);
      const body = content.length % 2 === 0 ? content : Buffer.concat([content, Buffer.from(vr === 'UI' ? '\0' : ' ')]);
      return Buffer.concat([headOf(tag, vr, body.length, syntax), body]);
    });
  return Buffer.concat(parts);
}

function headOf(tag: string, vr: string, length: number, syntax: Syntax): Buffer {
  const big = syntax === 'big-endian';
  const group = Number.parseInt(tag.slice(0, 4), 16);
  const element = Number.parseInt(tag.slice(4), 16);
  const numbers = Buffer.alloc(4);
  if (big) numbers.writeUInt16BE(group, 0);
  else numbers.writeUInt16LE(group, 0);
  if (big) numbers.writeUInt16BE(element, 2);
  else numbers.writeUInt16LE(element, 2);
  const size = Buffer.alloc(4);
  if (big) size.writeUInt32BE(length);
  else size.writeUInt32LE(length);
  if (syntax === 'implicit' || vr === '') return Buffer.concat([numbers, size]);
  if (LONG.has(vr)) return Buffer.concat([numbers, Buffer.from(`${vr}\0\0`), size]);
  return Buffer.concat([numbers, Buffer.from(vr), big ? size.subarray(2) : size.subarray(0, 2)]);
}

function contentOf(value: Value, vr: string, syntax: Syntax): Buffer {
  if (typeof value === 'string') return Buffer.from(value, 'latin1');
  if (Buffer.isBuffer(value)) return value;
  if (vr === 'SQ') {
    const items = (value as readonly Elements[]).map((item) => encode(item, syntax));
    return Buffer.concat(items.flatMap((item) => [headOf('fffee000', '', item.length, syntax), item]));
  }
  const width = vr === 'UL' ? 4 : 2;
  const bytes = Buffer.alloc(value.length * width);
  for (const [at, number] of (value as readonly number[]).entries()) {
    if (syntax === 'big-endian') bytes.writeUIntBE(number, at * width, width);
    else bytes.writeUIntLE(number, at * width, width);
  }
  return bytes;
}
