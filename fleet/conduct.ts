import { ClaraError, hasCode } from '../base/errors';
import type { FleetRecord } from './fleet-record';
import type { FleetStep } from './order';
import type { FleetVerb, StackChanges, StacksPort } from './stacks-port';

export type StackResult =
  | { readonly stack: string; readonly state: 'done'; readonly changes: StackChanges; readonly seconds: number }
  /** An earlier call with the same task has done it, and nothing has changed since. */
  | { readonly stack: string; readonly state: 'done-before' }
  /** There was nothing to refresh or destroy. */
  | { readonly stack: string; readonly state: 'absent' }
  | { readonly stack: string; readonly state: 'failed'; readonly error: ClaraError; readonly seconds: number }
  | { readonly stack: string; readonly state: 'interrupted' }
  /** Its turn never came. */
  | { readonly stack: string; readonly state: 'waiting' };

export interface FleetConduct {
  readonly verb: FleetVerb;
  readonly steps: readonly FleetStep[];
  /** The most stacks that are worked on at the same time. */
  readonly parallel: number;
  readonly stacks: StacksPort;
  /** Undefined: nothing is remembered. */
  readonly record?: FleetRecord;
  /** What would be deployed to a stack. */
  readonly digestOf: (stack: string) => Promise<string>;
  readonly signal: AbortSignal;
  readonly onBegin?: (stack: string) => void;
  readonly onEnd?: (result: StackResult) => void;
}

/**
 * Works through the steps. After a failure nothing new is begun, and what is under way is finished; a preview changes
 * nothing, so it goes on and shows every failure. An abort cancels what is under way.
 * @returns one result for each stack, in the order of the steps
 */
export async function conductFleet(conduct: FleetConduct): Promise<StackResult[]> {
  const { verb, steps, parallel, signal, record } = conduct;
  const results = new Map<string, StackResult>();
  const hasFailed = () => [...results.values()].some(({ state }) => state === 'failed' || state === 'interrupted');
  const mayBegin = () => !signal.aborted && (verb === 'preview' || !hasFailed());
  for (const step of steps) {
    const queue = [...step];
    const worker = async (): Promise<void> => {
      for (let stack = queue.shift(); stack !== undefined && mayBegin(); stack = queue.shift()) {
        const result = await workOn(stack, conduct);
        results.set(stack, result);
        conduct.onEnd?.(result);
      }
    };
    // A record that cannot be written ends the task, but not before all others have come to their end.
    const ends = await Promise.allSettled(Array.from({ length: Math.min(parallel, step.length) }, worker));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
  const all = steps.flat().map((stack): StackResult => results.get(stack) ?? { stack, state: 'waiting' });
  if (all.every(({ state }) => state === 'done' || state === 'done-before' || state === 'absent'))
    await record?.forget();
  return all;
}

async function workOn(stack: string, conduct: FleetConduct): Promise<StackResult> {
  const { verb, stacks, record, digestOf, signal, onBegin } = conduct;
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 100) / 10;
  let changes: StackChanges | undefined;
  let digest: string;
  try {
    digest = await digestOf(stack);
    if (record?.isDone(stack, digest)) return { stack, state: 'done-before' };
    onBegin?.(stack);
    changes = await stacks.run(verb, stack, signal);
  } catch (thrown) {
    const error = ClaraError.from(thrown);
    if (hasCode(error, 'cancelled')) return { stack, state: 'interrupted' };
    return { stack, state: 'failed', error, seconds: seconds() };
  }
  await record?.add(stack, digest);
  return changes === undefined ? { stack, state: 'absent' } : { stack, state: 'done', changes, seconds: seconds() };
}
