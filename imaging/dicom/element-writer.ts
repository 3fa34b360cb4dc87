/** Elements of a DICOM data set, written explicit and little endian (PS3.5, section 7.1.2). */
export interface Element {
  /** As `ggggeeee`, in hexadecimal. */
  readonly tag: string;
  readonly vr: string;
  readonly value: Uint8Array;
}

/** Value representations whose length takes four bytes, after two that are reserved. */
const LONG = new Set(['OB', 'OD', 'OF', 'OL', 'OW', 'SQ', 'UC', 'UN', 'UR', 'UT']);
/** Padded to an even length by a zero byte; other text by a space. */
const PADDED_BY_ZERO = new Set(['UI', 'OB', 'UN']);

/** Text, several values separated by backslashes. */
export function text(tag: string, vr: string, ...values: readonly string[]): Element {
  return { tag, vr, value: Buffer.from(values.join('\\'), 'latin1') };
}

/** Decimal strings. */
export function decimal(tag: string, ...values: readonly number[]): Element {
  return text(tag, 'DS', ...values.map(decimalString));
}

export function short(tag: string, ...values: readonly number[]): Element {
  const value = Buffer.alloc(2 * values.length);
  for (const [at, each] of values.entries()) value.writeUInt16LE(each, 2 * at);
  return { tag, vr: 'US', value };
}

export function long(tag: string, ...values: readonly number[]): Element {
  const value = Buffer.alloc(4 * values.length);
  for (const [at, each] of values.entries()) value.writeUInt32LE(each, 4 * at);
  return { tag, vr: 'UL', value };
}

/** A tag as a value. */
export function attribute(tag: string, pointed: string): Element {
  return { tag, vr: 'AT', value: tagBytes(pointed) };
}

export function sequence(tag: string, ...items: readonly (readonly Element[])[]): Element {
  const parts = items.flatMap((elements) => {
    const content = encodeElements(elements);
    const head = Buffer.alloc(8);
    tagBytes('fffee000').copy(head);
    head.writeUInt32LE(content.length, 4);
    return [head, content];
  });
  return { tag, vr: 'SQ', value: Buffer.concat(parts) };
}

/** The elements in the order of their tags. */
export function encodeElements(elements: readonly Element[]): Buffer {
  const ordered = [...elements].sort((a, b) => (a.tag < b.tag ? -1 : 1));
  return Buffer.concat(
    ordered.flatMap(({ tag, vr, value }) => {
      const padding = value.length % 2 === 0 ? '' : PADDED_BY_ZERO.has(vr) ? '\0' : ' ';
      const length = value.length + padding.length;
      const head = Buffer.alloc(LONG.has(vr) ? 12 : 8);
      tagBytes(tag).copy(head);
      head.write(vr, 4, 'latin1');
      if (LONG.has(vr)) head.writeUInt32LE(length, 8);
      else head.writeUInt16LE(length, 6);
      return [head, value, Buffer.from(padding, 'latin1')];
    }),
  );
}

function tagBytes(tag: string): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16), 0);
  bytes.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2);
  return bytes;
}

const LONGEST_DECIMAL = 16;

/** The nearest number that 16 characters can say (PS3.5, section 6.2). */
export function decimalString(value: number): string {
  for (let digits = 17; digits > 0; digits -= 1) {
    const written = String(Number(value.toPrecision(digits)));
    if (written.length <= LONGEST_DECIMAL) return written;
  }
  return '0';
}
