import { type Dtype, ELEMENT_BYTES } from '../../federation/tensors/dtype';
import type { TensorLayout } from '../../federation/tensors/layout';

/**
 * What happens to the bytes of a model's data section when updates are aggregated. Neighbouring tensors of one kind are one
 * span, so that small tensors do not cost a read each.
 *
 * - combine: floating point, combined by the strategy.
 * - first: integers and booleans (counters of steps, masks): an average would be no such value, so the value of the first
 *   contributor in site order stands for all.
 * - keep: excluded by the plan; the global model's value stays.
 */
export interface Span {
  readonly treatment: 'combine' | 'first' | 'keep';
  readonly dtype: Dtype;
  /** Bytes in the data section. */
  readonly begin: number;
  readonly end: number;
  /** Index of the first combined element among all combined elements: its place in the server optimiser's state. */
  readonly firstElement: number;
}

const FLOATS: readonly Dtype[] = ['F64', 'F32', 'F16', 'BF16'];

export function spansOf(layout: TensorLayout, excluded: readonly RegExp[]): Span[] {
  const spans: Span[] = [];
  let elements = 0;
  for (const { name, dtype, begin, end } of layout.tensors) {
    if (begin === end) continue;
    const treatment = excluded.some((pattern) => pattern.test(name))
      ? 'keep'
      : FLOATS.includes(dtype)
        ? 'combine'
        : 'first';
    const last = spans.at(-1);
    if (last && last.treatment === treatment && last.dtype === dtype) spans[spans.length - 1] = { ...last, end };
    else spans.push({ treatment, dtype, begin, end, firstElement: elements });
    if (treatment === 'combine') elements += (end - begin) / ELEMENT_BYTES[dtype];
  }
  return spans;
}

/** Elements that the strategy combines. */
export function combinedElements(spans: readonly Span[]): number {
  return spans
    .filter(({ treatment }) => treatment === 'combine')
    .reduce((sum, { dtype, begin, end }) => sum + (end - begin) / ELEMENT_BYTES[dtype], 0);
}

/** A piece of a span that is worked on at once. */
export interface Block extends Span {
  readonly elements: number;
}

export function* blocksOf(spans: readonly Span[], maxElements: number): Generator<Block> {
  for (const span of spans) {
    const size = ELEMENT_BYTES[span.dtype];
    for (let begin = span.begin; begin < span.end; begin += maxElements * size) {
      const end = Math.min(begin + maxElements * size, span.end);
      const firstElement = span.firstElement + (begin - span.begin) / size;
      yield { ...span, begin, end, firstElement, elements: (end - begin) / size };
    }
  }
}
