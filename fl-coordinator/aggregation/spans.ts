import { ELEMENT_BYTES, type FloatDtype, isFloat } from '../../federation/tensors/dtype';
import type { TensorLayout } from '../../federation/tensors/layout';

/**
 * What happens to a range of bytes of a model's data section when updates are aggregated. Neighbouring tensors of one kind are
 * one span, so that small tensors do not cost a read each.
 *
 * - combine: floating point, combined by the strategy.
 * - first: integers and booleans (counters of steps, masks), of which an average would be no such value, and what the plan does
 *   not want averaged: the value of the first contributor in site order stands for all.
 * - keep: excluded by the plan; the global model's value stays.
 */
export type Span =
  | (Range & {
      readonly treatment: 'combine';
      readonly dtype: FloatDtype;
      /** How many combined elements lie before: the place in the server optimiser's moments. */
      readonly firstElement: number;
    })
  | (Range & { readonly treatment: 'first' | 'keep' });

interface Range {
  readonly begin: number;
  readonly end: number;
}

/** A piece of a span that is worked on at once. */
export type Block = (Extract<Span, { treatment: 'combine' }> & { readonly elements: number }) | CopiedSpan;

type CopiedSpan = Exclude<Span, { treatment: 'combine' }>;

/** Blocks that are copied are as long as those of float32. */
const COPIED_BLOCK_BYTES = 1 << 20;

/**
 * The spans of a model, in the order of its data.
 * @param isExcluded tells tensors by name
 * @param isFirst tells floating-point tensors that are treated as integers are
 */
export function spansOf(
  layout: TensorLayout,
  isExcluded: (name: string) => boolean,
  isFirst: (name: string) => boolean,
): Span[] {
  const spans: Span[] = [];
  let elements = 0;
  for (const { name, dtype, begin, end } of layout.tensors) {
    if (begin === end) continue;
    const last = spans.at(-1);
    if (isExcluded(name) || isFirst(name) || !isFloat(dtype)) {
      const treatment = isExcluded(name) ? 'keep' : 'first';
      if (last?.treatment === treatment) spans[spans.length - 1] = { ...last, end };
      else spans.push({ treatment, begin, end });
      continue;
    }
    if (last?.treatment === 'combine' && last.dtype === dtype) spans[spans.length - 1] = { ...last, end };
    else spans.push({ treatment: 'combine', dtype, begin, end, firstElement: elements });
    elements += (end - begin) / ELEMENT_BYTES[dtype];
  }
  return spans;
}

/** Elements that the strategy combines. */
export function combinedElements(spans: readonly Span[]): number {
  return spans.reduce(
    (sum, span) => (span.treatment === 'combine' ? sum + (span.end - span.begin) / ELEMENT_BYTES[span.dtype] : sum),
    0,
  );
}

/** Cuts spans into blocks. @param maxElements of a combined block of each type */
export function* blocksOf(spans: readonly Span[], maxElements: (dtype: FloatDtype) => number): Generator<Block> {
  for (const span of spans) {
    const size = span.treatment === 'combine' ? ELEMENT_BYTES[span.dtype] : 1;
    const step = span.treatment === 'combine' ? maxElements(span.dtype) * size : COPIED_BLOCK_BYTES;
    for (let begin = span.begin; begin < span.end; begin += step) {
      const end = Math.min(begin + step, span.end);
      if (span.treatment !== 'combine') yield { ...span, begin, end };
      else {
        const firstElement = span.firstElement + (begin - span.begin) / size;
        yield { ...span, begin, end, firstElement, elements: (end - begin) / size };
      }
    }
  }
}
