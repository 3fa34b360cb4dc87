import { ClaraError } from '../base/errors';
import { deriveSeed, seededRandom } from '../base/random';
import type { DecathlonList, LabelledCase } from './decathlon-list';

/** What one site gets of a dataset. */
export interface SiteShare {
  readonly site: string;
  readonly training: readonly LabelledCase[];
  /** Never trained on; models are measured on them. */
  readonly heldOut: readonly LabelledCase[];
}

/**
 * Divides all labelled cases (training and validation together) among sites: shuffled by `seed`, dealt one by one, so that
 * shares differ by one case at most. Every case goes to exactly one site; the first `heldOutPerSite` of a site are held out.
 *
 * @throws ClaraError invalid-input when a site would be left without a case to train on, or is named twice
 */
export function divideCases(
  dataset: DecathlonList,
  sites: readonly string[],
  seed: number,
  heldOutPerSite: number,
): SiteShare[] {
  if (new Set(sites).size !== sites.length) {
    throw new ClaraError('invalid-input', `cases cannot be divided among ${sites.join(', ')}: name every site once`);
  }
  if (!Number.isInteger(heldOutPerSite) || heldOutPerSite < 0) {
    throw new ClaraError(
      'invalid-input',
      `${heldOutPerSite} cases cannot be held out of a site: use a whole number, 0 or more`,
    );
  }
  const cases = shuffled([...dataset.training, ...dataset.validation], deriveSeed('divide cases', seed));
  const needed = sites.length * (heldOutPerSite + 1);
  if (sites.length === 0 || cases.length < needed) {
    throw new ClaraError(
      'invalid-input',
      `${dataset.name} has ${cases.length} labelled cases, but ${sites.length} sites with ${heldOutPerSite} held out each ` +
        `need ${Math.max(1, needed)}: use fewer sites or more cases`,
    );
  }
  return sites.map((site, index) => {
    const own = cases.filter((_, position) => position % sites.length === index);
    return { site, training: own.slice(heldOutPerSite), heldOut: own.slice(0, heldOutPerSite) };
  });
}

/** Fisher and Yates, in the form of Durstenfeld (1964). */
function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const random = seededRandom(seed);
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = random.integer(last + 1);
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}
