/**
 * Comparators that sort `size` values whatever they are: Batcher's odd-even merge sort (Batcher 1968; Knuth, The Art of
 * Computer Programming 3, 5.3.4, network form of algorithm 5.2.2M). The comparators depend on the size alone, so each is one
 * branch-free minimum and maximum over many coordinates at once.
 */
export function sortingNetwork(size: number): (readonly [number, number])[] {
  const comparators: [number, number][] = [];
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
