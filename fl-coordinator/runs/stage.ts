import { z } from 'zod';
import { ClaraError } from '../../base/errors';

/**
 * A run is a sequence of stages. Each has a cohort, a deadline and one task a site; what differs is what the sites are asked
 * to do. Aggregation is not a stage: it follows from a closed `train` stage and asks nothing of a site.
 *
 * - initialise: one site's trainer makes the first weights.
 * - train: one federated round.
 * - evaluate: every site judges the global model of a round.
 * - train-alone: as `train`, but each site goes on from its own last weights; the baseline that shows what federation bought.
 * - cross-evaluate: every site judges the global model and those of each site: trained alone, or its last update.
 * - statistics: every site counts its images; the only stage of its run.
 */
export const stageSchema = z.object({
  kind: z.enum(['initialise', 'train', 'evaluate', 'train-alone', 'cross-evaluate', 'statistics']),
  round: z.number().int().min(0),
  /**
   * From 2 on. Asynchronous: how often the site has trained from the model of the round before, this time included. Cyclic: the
   * place in the round. Absent: 1.
   */
  turn: z.number().int().min(2).optional(),
});
export type Stage = z.infer<typeof stageSchema>;

export function sameStage(a: Stage, b: Stage): boolean {
  return sameRound(a, b) && a.turn === b.turn;
}

/** Whatever the turn. */
export function sameRound(a: Stage, b: Stage): boolean {
  return a.kind === b.kind && a.round === b.round;
}

export function withTurn({ kind, round }: Stage, turn: number): Stage {
  return turn === 1 ? { kind, round } : { kind, round, turn };
}

/** Stages whose tasks end with an upload. */
export function expectsUpdate(stage: Stage): boolean {
  return stage.kind === 'initialise' || stage.kind === 'train' || stage.kind === 'train-alone';
}

/** What the trainer is asked for. */
export function taskKindOf(stage: Stage): 'initialise' | 'train' | 'evaluate' | 'statistics' {
  if (stage.kind === 'initialise' || stage.kind === 'statistics') return stage.kind;
  return expectsUpdate(stage) ? 'train' : 'evaluate';
}

/** `<run>/<stage kind>/<round>/<site>`, the round with its turn as in `3.2`: the same task has the same id after any restart of either end. */
export function taskId(run: string, stage: Stage, site: string): string {
  return `${run}/${stage.kind}/${roundText(stage)}/${site}`;
}

function roundText({ round, turn }: Stage): string {
  return turn === undefined ? String(round) : `${round}.${turn}`;
}

export interface TaskAddress {
  readonly run: string;
  readonly stage: Stage;
  readonly site: string;
}

/** A run, a stage and a site; whatever a site says is told back to it, and waits in memory until it reads. */
const MAX_TASK_ID = 400;

/** The parts of a task id; @throws ClaraError `invalid-input` when it is none. */
export function parseTaskId(id: string): TaskAddress {
  const [run, kind, round, site, ...rest] = id.split('/');
  const [number, turn, ...more] = round?.split('.') ?? [];
  const stage = stageSchema.safeParse({
    kind,
    round: Number(number),
    ...(turn !== undefined && { turn: Number(turn) }),
  });
  if (id.length > MAX_TASK_ID || !run || !site || rest.length > 0 || more.length > 0 || !stage.success) {
    throw new ClaraError('invalid-input', `${JSON.stringify(id.slice(0, 200))} is not a task id`);
  }
  return { run, stage: stage.data, site };
}
