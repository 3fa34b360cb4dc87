import { ClaraError } from '../../../base/errors';
import { geometriesAgree } from '../../../imaging/geometry';
import { resampleMaskTo, resampleTo } from '../../../imaging/resample';
import type { Geometry, Mask } from '../../../imaging/volume';
import type { PostStep } from '../../config/pipeline';
import { keepLargest } from './largest-component';
import type { Scores } from './sliding-window';

/** A network's scores; from AsDiscreted on, and for models that make one, a mask. */
type State = Scores | Mask;

/**
 * The mask that the steps of a configuration make of a network's scores, or of a mask, on the grid of the volume that was sent, whether or not there is
 * a step for that.
 *
 * @throws ClaraError `unsupported` when the network's channels do not fit the steps
 */
export function finishMask(scores: State, steps: readonly PostStep[], original: Geometry): Mask {
  const state = steps.reduce<State>((before, step) => apply(before, step, original), scores);
  if (!isMask(state)) throw new ClaraError('unsupported', 'the steps after the network make no mask; add AsDiscreted');
  return restoreMask(state, original);
}

/**
 * Scores as probabilities. The configuration says how; where it does not, because only the largest or a bound matters to it, scores that are
 * no probabilities become some.
 */
export function probabilitiesOf(scores: Scores, steps: readonly PostStep[]): Scores {
  const activate = steps.find((step) => step.kind === 'activate');
  if (activate !== undefined) return activate.by === 'sigmoid' ? sigmoid(scores) : softmax(scores);
  if (scores.channels.every((data) => data.every((value) => value >= 0 && value <= 1))) return scores;
  return scores.channels.length === 1 ? sigmoid(scores) : softmax(scores);
}

function isMask(state: State): state is Mask {
  return 'data' in state;
}

function apply(state: State, step: PostStep, original: Geometry): State {
  if (isMask(state)) return applyToMask(state, step, original);
  switch (step.kind) {
    case 'activate':
      return step.by === 'sigmoid' ? sigmoid(state) : softmax(state);
    case 'argmax':
      return argmax(state);
    case 'threshold':
      return threshold(state, step.at);
    case 'restore': {
      const channels = state.channels.map((data) => resampleTo({ geometry: state.geometry, data }, original).data);
      return { geometry: original, channels };
    }
    default:
      throw new ClaraError('unsupported', `${step.kind} works on labels; move it behind AsDiscreted`);
  }
}

function applyToMask(mask: Mask, step: PostStep, original: Geometry): Mask {
  switch (step.kind) {
    case 'largest-component':
      return keepLargest(mask, step);
    case 'keep-labels':
      return { geometry: mask.geometry, data: mask.data.map((label) => (step.labels.includes(label) ? label : 0)) };
    case 'restore':
      return restoreMask(mask, original);
    default:
      throw new ClaraError('unsupported', `${step.kind} works on what a network says; this is a mask already`);
  }
}

function restoreMask(mask: Mask, original: Geometry): Mask {
  if (geometriesAgree(mask.geometry, original, 1e-6)) return { geometry: original, data: mask.data };
  return resampleMaskTo(mask, original, 'nearest');
}

function sigmoid({ geometry, channels }: Scores): Scores {
  return { geometry, channels: channels.map((data) => data.map((value) => 1 / (1 + Math.exp(-value)))) };
}

function softmax({ geometry, channels }: Scores): Scores {
  const result = channels.map((data) => new Float32Array(data.length));
  for (let at = 0; at < channels[0].length; at += 1) {
    let top = Number.NEGATIVE_INFINITY;
    for (const data of channels) top = Math.max(top, data[at]);
    let sum = 0;
    for (const data of channels) sum += Math.exp(data[at] - top);
    for (const [channel, data] of channels.entries()) result[channel][at] = Math.exp(data[at] - top) / sum;
  }
  return { geometry, channels: result };
}

function argmax({ geometry, channels }: Scores): Mask {
  if (channels.length < 2 || channels.length > 256) {
    throw new ClaraError(
      'unsupported',
      `the network has ${channels.length} output channels, of which argmax can make no mask; use 2 to 256, or AsDiscreted with a threshold for one`,
    );
  }
  const data = new Uint8Array(channels[0].length);
  for (let at = 0; at < data.length; at += 1) {
    let best = 0;
    for (let channel = 1; channel < channels.length; channel += 1) {
      if (channels[channel][at] > channels[best][at]) best = channel;
    }
    data[at] = best;
  }
  return { geometry, data };
}

function threshold({ geometry, channels }: Scores, at: number): Mask {
  if (channels.length !== 1) {
    throw new ClaraError(
      'unsupported',
      `the network has ${channels.length} output channels, of which a threshold makes as many masks; use AsDiscreted with argmax`,
    );
  }
  return { geometry, data: Uint8Array.from(channels[0], (value) => (value >= at ? 1 : 0)) };
}
