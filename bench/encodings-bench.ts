import { seededRandom } from '../base/random';
import { decode } from '../federation/encodings/decode';
import { type EncodeRequest, encode, residualAfter } from '../federation/encodings/encode';
import type { Encoding, Wire } from '../federation/encodings/encoding';
import type { TensorBytes } from '../federation/encodings/tensor-bytes';
import { encodeHeader, headerLength, parseHeader } from '../federation/tensors/header';
import { mean, rounded } from './figures';

export interface EncodingsCase {
  readonly elements: number;
  readonly sites: number;
  readonly rounds: number;
  /** Of each site's gradient descent; at 1 a step along the steepest direction reaches its centre. */
  readonly rate: number;
}

const float16: Encoding = { encoding: 'float16', delta: false };
const float32: Encoding = { encoding: 'float32', delta: false };
const int8 = (delta: boolean, rounding: 'nearest' | 'stochastic' = 'nearest'): Encoding => ({
  ...{ encoding: 'int8', delta, rounding },
});
const topK = (fraction: number): Encoding => ({ encoding: 'top-k', delta: true, fraction });

const WIRES: readonly Wire[] = [
  { up: float32, down: float32 },
  { up: float16, down: float16 },
  { up: { encoding: 'bfloat16', delta: false }, down: { encoding: 'bfloat16', delta: false } },
  { up: { encoding: 'float16', delta: true }, down: float32 },
  { up: int8(false), down: float16 },
  { up: int8(true), down: float16 },
  { up: int8(true, 'stochastic'), down: float16 },
  { up: int8(true), down: int8(false) },
  { up: topK(0.1), down: float16 },
  { up: topK(0.01), down: float16 },
  { up: topK(0.01), down: float32 },
];

const signal = new AbortController().signal;
const isKept = (): boolean => false;
const what = 'the bench';

/**
 * One object an encoding: bytes beside float32, what one round loses, and what many rounds of FedAvg come to on a convex problem
 * whose solution is known. Site k minimises the mean over i of h_i (x_i - c_ki)^2 / 2 by 5 steps of gradient descent a round;
 * curvatures h are log-uniform in 0.01 to 1, centres c differ from site to site. Everything is seeded.
 */
export async function* benchEncodings(options: EncodingsCase): AsyncGenerator<object> {
  const { curvatures, solution } = problem(options.elements, options.sites);
  const start = excessOf(new Float32Array(options.elements), solution, curvatures);
  let baseline: number | undefined;
  for (const wire of WIRES) {
    const outcome = await federate(wire, options);
    baseline ??= outcome.excess;
    const exact = options.elements * 4;
    yield {
      case: 'encodings',
      up: nameOf(wire.up),
      down: nameOf(wire.down),
      ...options,
      bytesUpPerSite: outcome.up,
      bytesDownPerSite: outcome.down,
      upOfFloat32: rounded(outcome.up / exact, 3),
      downOfFloat32: rounded(outcome.down / exact, 3),
      errorOfOneRound: Number(outcome.error.toPrecision(2)),
      excessLoss: Number(outcome.excess.toPrecision(3)),
      excessLossAtStart: Number(start.toPrecision(3)),
      excessLossOfFloat32: rounded(outcome.excess / baseline, 3),
      encodeMiBPerSecond: rounded(outcome.encodeRate),
      decodeMiBPerSecond: rounded(outcome.decodeRate),
    };
  }
}

async function federate(wire: Wire, { elements, sites, rounds, rate }: EncodingsCase) {
  const { curvatures, centres, solution } = problem(elements, sites);
  let model = new Float32Array(elements);
  const residuals: (Buffer | undefined)[] = Array.from({ length: sites }, () => undefined);
  const encoding: number[] = [];
  const decoding: number[] = [];
  let up = 0;
  let down = 0;
  let error = 0;
  const timed = async <T>(rates: number[], work: () => Promise<T>): Promise<T> => {
    const began = performance.now();
    const result = await work();
    rates.push((elements * 4) / 2 ** 20 / ((performance.now() - began) / 1000));
    return result;
  };
  for (let round = 1; round <= rounds; round++) {
    const sent = fileOf(model);
    const encodedModel = await collected(encode({ ...common(wire.down, sent), seed: round }));
    down = encodedModel.length;
    const base = inMemory(await collected(decode({ ...common(wire.down, encodedModel), ...back(encodedModel, sent) })));
    const start = await floatsOf(base);
    const sum = new Float64Array(elements);
    const exactSum = new Float64Array(elements);
    for (const [site, centre] of centres.entries()) {
      const trained = descend(start, centre, curvatures, rate);
      const update = fileOf(trained);
      const residual = residuals[site] && inMemory(residuals[site]);
      const request: EncodeRequest = { ...common(wire.up, update), base, residual, seed: round * 1000 + site };
      const bytes = await timed(encoding, () => collected(encode(request)));
      up = bytes.length;
      const { up: settings } = wire;
      if (settings.encoding === 'top-k')
        residuals[site] = await collected(residualAfter({ ...request, encoding: settings }));
      const arrived = await timed(decoding, () =>
        collected(decode({ ...common(wire.up, bytes), ...back(bytes, update), base })),
      );
      const values = await floatsOf(inMemory(arrived));
      for (let i = 0; i < elements; i++) {
        sum[i]! += values[i]! / sites;
        exactSum[i]! += trained[i]! / sites;
      }
    }
    // Of the change that this round makes, so that the size of the model does not hide it.
    if (round === 1) error = distance(sum, exactSum) / distance(exactSum, start);
    model = Float32Array.from(sum);
  }
  const excess = excessOf(model, solution, curvatures);
  return { up, down, error, excess, encodeRate: mean(encoding), decodeRate: mean(decoding) };
}

const common = (encoding: Encoding, file: Buffer) => ({ encoding, source: inMemory(file), isKept, what, signal });
const back = (encoded: Buffer, model: Buffer) => ({ encoded: inMemory(encoded), model: inMemory(model).layout });

function problem(elements: number, sites: number) {
  const random = seededRandom(1);
  const curvatures = Float64Array.from({ length: elements }, () => 10 ** (-2 * random.uniform()));
  const shared = Float64Array.from({ length: elements }, () => random.normal());
  const centres = Array.from({ length: sites }, () => shared.map((value) => value + 0.5 * random.normal()));
  const solution = shared.map((_, i) => mean(centres.map((centre) => centre[i]!)));
  return { curvatures, centres, solution };
}

function descend(start: Float32Array, centre: Float64Array, curvatures: Float64Array, rate: number): Float32Array {
  return start.map((value, i) => centre[i]! + (value - centre[i]!) * (1 - rate * curvatures[i]!) ** 5);
}

/** Loss above that of the solution. */
function excessOf(model: Float32Array, solution: Float64Array, curvatures: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < model.length; i++) sum += (curvatures[i]! * (model[i]! - solution[i]!) ** 2) / 2;
  return sum / model.length;
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum);
}

function nameOf({ encoding, delta, ...settings }: Encoding): string {
  const rest = Object.values(settings).filter((value) => value !== 'nearest');
  return [encoding, ...rest, ...(delta && encoding !== 'top-k' ? ['delta'] : [])].join(' ');
}

function fileOf(values: Float32Array): Buffer {
  const header = encodeHeader([{ name: 'w', dtype: 'F32', shape: [values.length] }]);
  return Buffer.concat([header, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]);
}

function inMemory(file: Buffer): TensorBytes {
  const layout = parseHeader(file.subarray(0, headerLength(file.subarray(0, 8))), { fileBytes: file.length });
  return {
    layout,
    read: async (begin, target) => {
      const start = layout.headerBytes.length + begin;
      target.set(file.subarray(start, start + target.length));
    },
  };
}

async function floatsOf(file: TensorBytes): Promise<Float32Array> {
  const values = new Float32Array(file.layout.dataBytes / 4);
  await file.read(0, new Uint8Array(values.buffer));
  return values;
}

async function collected(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece));
  return Buffer.concat(all);
}
