/** Safetensors by hand, independent of federation/tensors. */
export interface PlainTensor {
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly dtype?: 'F32' | 'I64';
}

export function encodeModel(tensors: Readonly<Record<string, PlainTensor>>): Buffer {
  const header: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let end = 0;
  for (const [name, { shape, values, dtype = 'F32' }] of Object.entries(tensors)) {
    const bytes = Buffer.from(
      dtype === 'I64' ? BigInt64Array.from(values, BigInt).buffer : Float32Array.from(values).buffer,
    );
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    parts.push(bytes);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...parts]);
}

export function decodeModel(bytes: Buffer): Record<string, { shape: number[]; values: number[] }> {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.fromEntries(
    Object.entries(header)
      .filter(([name]) => name !== '__metadata__')
      .map(([name, { dtype, shape, data_offsets: offsets }]) => {
        const data = Uint8Array.from(bytes.subarray(8 + length + offsets[0], 8 + length + offsets[1])).buffer;
        const values = dtype === 'I64' ? [...new BigInt64Array(data)].map(Number) : [...new Float32Array(data)];
        return [name, { shape, values }];
      }),
  );
}

/** What the scripted trainer starts from. */
export const MODEL = encodeModel({
  'enc.w': { shape: [2, 3], values: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] },
  'enc.b': { shape: [2], values: [1, 2] },
  'bn.count': { shape: [], dtype: 'I64', values: [0] },
});
