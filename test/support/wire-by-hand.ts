import type { ShiftWire } from './shift-model';

/**
 * What the wire makes of models and updates, in plain float64 from the definitions in docs/plan.md and not from the code: used to
 * compute the model of a whole run. Tensors have fewer than 65,536 elements here, so top-k has one block a tensor.
 */

/** To nearest even with so many binary digits; no number here is subnormal or too large. */
export function roundedTo(digits: number): (value: number) => number {
  return (value) => {
    if (value === 0) return value;
    const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - digits + 1);
    const steps = value / unit;
    const below = Math.floor(steps);
    const rest = steps - below;
    const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
    return (below + (up ? 1 : 0)) * unit;
  };
}

export const half = roundedTo(11);
export const brain = roundedTo(8);

/** Blocks of 256 with the scale max / 127. */
export function quantised(values: readonly number[]): number[] {
  return values.map((value, i) => {
    const begin = i - (i % 256);
    const wanted = Math.max(...values.slice(begin, begin + 256).map(Math.abs)) / 127;
    let scale = Math.fround(wanted);
    if (scale < wanted) scale += 2 ** (Math.floor(Math.log2(wanted)) - 23);
    if (scale === 0) return 0;
    const steps = value / scale;
    const below = Math.floor(steps);
    const rest = steps - below;
    return Math.fround((below + (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? 1 : 0)) * scale);
  });
}

/** Applies a rule to the tensor of so many elements and to the one behind it. */
const perTensor = (elements: number, rule: (tensor: readonly number[]) => number[]) => (values: readonly number[]) => [
  ...rule(values.slice(0, elements)),
  ...rule(values.slice(elements)),
];

/** `{up: int8, down: float16}` */
export function int8Up(elements: number): ShiftWire {
  return { down: (model) => model.map(half), up: perTensor(elements, quantised) };
}

/** `{up: {encoding: float16, delta: true}, down: bfloat16}` */
export const HALF_CHANGES: ShiftWire = {
  down: (model) => model.map(brain),
  up: (update, base) => update.map((value, i) => Math.fround(base[i]! + half(value - base[i]!))),
};

/** `{up: {encoding: top-k, fraction}, down: bfloat16}`; each site keeps its residual. */
export function topKUp(elements: number, fraction: number): ShiftWire {
  const residuals = new Map<string, readonly number[]>();
  return {
    down: (model) => model.map(brain),
    up: (update, base, site) => {
      const before = residuals.get(site);
      const wanted = update.map((value, i) => Math.fround(value - base[i]! + (before?.[i] ?? 0)));
      const sent = perTensor(elements, (tensor) => {
        const order = tensor
          .map((value, i) => [Math.abs(value), i] as const)
          .sort((a, b) => b[0] - a[0] || a[1] - b[1]);
        const largest = new Set(order.slice(0, Math.ceil(tensor.length * fraction)).map(([, i]) => i));
        return tensor.map((value, i) => (largest.has(i) ? value : 0));
      })(wanted);
      residuals.set(
        site,
        wanted.map((value, i) => value - sent[i]!),
      );
      return sent.map((value, i) => Math.fround(base[i]! + value));
    },
  };
}
