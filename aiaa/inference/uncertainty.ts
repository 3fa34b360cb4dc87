/** From this probability of any label on, a voxel is one that the model takes for possible. */
const POSSIBLE = 0.05;

/**
 * How unsure a model is of a volume, 0..1: the mean entropy of what it says of the voxels that it takes for possible, as a share of the
 * largest that there can be (Settles, "Active Learning Literature Survey", 2009, section 3.1). Far background would drown what counts. A
 * model that takes nothing for possible is quite unsure: a scan in which it finds no organ is one to look at.
 *
 * @param channels probabilities: one channel for one label against the background, or one for each label and the background first
 */
export function uncertaintyOf(channels: readonly Float32Array[]): number {
  const [first] = channels;
  const largest = Math.log(Math.max(2, channels.length));
  let sum = 0;
  let count = 0;
  for (let at = 0; at < first.length; at += 1) {
    const background = channels.length === 1 ? 1 - first[at] : first[at];
    if (background > 1 - POSSIBLE) continue;
    count += 1;
    if (channels.length === 1) sum += information(background) + information(first[at]);
    else for (const channel of channels) sum += information(channel[at]);
  }
  return count === 0 ? 1 : Math.min(1, Math.max(0, sum / count / largest));
}

function information(probability: number): number {
  return probability > 0 ? -probability * Math.log(probability) : 0;
}
