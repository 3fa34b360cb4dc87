import type { RunView } from '../../federation/gen/federation/v1/federation_pb';
import { roundMetric } from '../compare-runs';
import type { Outcome } from './ranking';
import type { Trial } from './trials';

/** What a run that has ended says of its trial. */
export function outcomeOf(
  trial: Trial,
  { view, bytes }: { readonly view: RunView; readonly bytes: number },
  metric: string,
): Outcome {
  const { run = '', state = '', reason = '' } = view.summary ?? {};
  const last = view.rounds.at(-1);
  const value = state === 'completed' && last ? roundMetric(last, metric) : undefined;
  const isKnown = value !== undefined && Number.isFinite(value);
  const silence = last ? `no site reported ${metric} after round ${last.round}` : 'it has no round';
  return {
    candidate: trial.candidate.number,
    rung: trial.rung,
    rounds: trial.rounds,
    run,
    value: isKnown ? value : null,
    judgements: (isKnown && last ? last.evaluations : []).flatMap(({ site, samples, metrics }) =>
      metrics[metric] === undefined ? [] : [{ site, value: metrics[metric], samples: Number(samples) }],
    ),
    reason: state === 'completed' ? (isKnown ? reason : silence) : `${state}: ${reason}`,
    roundsDone: view.rounds.length,
    bytes,
    seconds: view.rounds.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

/** Of a trial whose plan the coordinator did not take. */
export function refusedOutcome(trial: Trial, reason: string): Outcome {
  const { candidate, rung, rounds } = trial;
  const nothing = { run: '', value: null, judgements: [], roundsDone: 0, bytes: 0, seconds: 0 };
  return { candidate: candidate.number, rung, rounds, ...nothing, reason: `refused by the coordinator: ${reason}` };
}
