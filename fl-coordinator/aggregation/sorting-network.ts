export type Comparator = readonly [low: number, high: number];

/**
 * Comparators that sort `size` values whatever they are: Batcher's odd-even merge sort (Batcher 1968; Knuth, The Art of
 * Computer Programming 3, 5.3.4, network form of algorithm 5.2.2M). The comparators depend on the size alone, so each is one
 * branch-free minimum and maximum over many coordinates at once.
 */
export function sortingNetwork(size: number): Comparator[] {
  const comparators: Comparator[] = [];
  for (let p = 1; p < size; p *= 2) {
    for (let k = p; k >= 1; k = Math.floor(k / 2)) {
      for (let j = k % p; j + k < size; j += 2 * k) {
        for (let i = 0; i < Math.min(k, size - j - k); i++) {
          if (Math.floor((i + j) / (2 * p)) === Math.floor((i + j + k) / (2 * p))) comparators.push([i + j, i + j + k]);
        }
      }
    }
  }
  return comparators;
}

/** Those comparators of the sorting network from which the values at the places `low` to `up` can still be reached. */
export function partialNetwork(size: number, low: number, up: number): Comparator[] {
  const needed = new Set(Array.from({ length: up - low + 1 }, (_, i) => low + i));
  const kept: Comparator[] = [];
  for (const comparator of sortingNetwork(size).reverse()) {
    if (!comparator.some((position) => needed.has(position))) continue;
    for (const position of comparator) needed.add(position);
    kept.push(comparator);
  }
  return kept.reverse();
}
