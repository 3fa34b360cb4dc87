import assert from 'node:assert/strict';
import type { PlanInput } from '../../../federation/plan';
import { pendingModel } from '../../../fl-coordinator/runs/pending-model';
import { reduce } from '../../../fl-coordinator/runs/reduce';
import type { RunState } from '../../../fl-coordinator/runs/run-state';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { RUN, Story } from './story';

/** Runs for the specs of how rounds follow each other, and what they came to. */

export const SITES = ['a', 'b', 'c', 'd'];
export const TRAIN_ONLY = { everyRound: false } as const;

export function started(plan: Partial<PlanInput>, sites: readonly string[] = SITES): Story {
  const story = new Story(plan, sites);
  story.approveAll();
  story.deliver(openTasks(story.state)[0]!.site);
  return story;
}

export const reasonOf = ({ state: { outcome } }: Story): string =>
  (outcome && 'reason' in outcome && outcome.reason) || '';
export const tasksOf = ({ state }: Story) => openTasks(state).map(({ id }) => id.slice(RUN.length + 1));
export const opened = (story: Story, kind: string) =>
  story.events.flatMap((event) => (event.type === 'stage-opened' && event.stage.kind === kind ? [event] : []));

/** What the model of each round was made of, as the coordinator would have made it. */
export function combined(story: Story): string[][] {
  const rounds: string[][] = [];
  let state: RunState | undefined;
  for (const event of story.events) {
    if (event.type === 'model-published' && event.round > 0) {
      const work = pendingModel(state!);
      assert.ok(work?.kind === 'aggregate' && work.round === event.round);
      rounds.push(
        work.updates.map(({ key, from }) => {
          const name = key.replace(/^.*rounds\/0*(\d+)\/updates\/(.*)\.safetensors$/, '$1/$2');
          return from ? `${name} x ${from.factor.toFixed(3)}` : name;
        }),
      );
    }
    state = reduce(state, RUN, event);
  }
  return rounds;
}

export function evaluate(
  story: Story,
  values: Readonly<Record<string, readonly [value: number, samples: number]>>,
  metric = 'dice',
): void {
  for (const { site, stage } of openTasks(story.state)) {
    const [value, samples] = values[site]!;
    const evaluations = [{ model: 'global', metrics: { [metric]: value } }];
    const result = { kind: 'evaluation' as const, samples, evaluations, peakRssBytes: 0 };
    story.command({ kind: 'report-evaluation', stage, site, result });
  }
}
