import { withControls } from '../federation/controls';
import { encodedHeader } from '../federation/encodings/encoded-layout';
import { isKeptBy, leftOut, updateLayout } from '../federation/sent-tensors';
import type { TensorLayout, TensorSpec } from '../federation/tensors/layout';
import { readStoredLayout } from './aggregation/stored-layout';
import type { SentUpdate } from './api/upload-facts';
import type { UploadsOptions } from './api/uploads';
import { decodeUpdate } from './encodings/decode-update';
import { sentUpdateKey, updateKey } from './runs/object-names';
import type { RunState } from './runs/run-state';
import { baseModelOf, type SiteTask, sendsControls, sendsEncoded, startKeyOf } from './runs/tasks';
import type { ObjectStore } from './storage/object-store';

/** What the update of a task must look like when it arrives, and how it is read when the plan has it encoded. */
export function expectedUpdates(
  store: ObjectStore,
  stateOf: (run: string) => RunState,
  signal: AbortSignal,
): Pick<UploadsOptions, 'layoutFor' | 'encodedFor'> {
  let newest: { readonly key: string; readonly layout: TensorLayout } | undefined;
  return {
    /** Headers are read once a model. */
    async layoutFor(task: SiteTask): Promise<{ readonly tensors: readonly TensorSpec[] } | undefined> {
      const base = baseModelOf(stateOf(task.run), task.stage);
      if (!base) return undefined;
      if (newest?.key !== base.key) newest = { key: base.key, layout: await readStoredLayout(store, base.key) };
      const { plan, stage } = task;
      if (stage.kind !== 'train') return newest.layout;
      const layout = updateLayout(newest.layout, leftOut(plan));
      if (sendsEncoded(plan, stage)) return encodedHeader(layout, plan.wire.up, isKeptBy(plan)).layout;
      return sendsControls(plan, stage) ? withControls(layout) : layout;
    },

    encodedFor(task: SiteTask): SentUpdate | undefined {
      const { run, plan, stage, site } = task;
      if (!sendsEncoded(plan, stage)) return undefined;
      const sent = sentUpdateKey(run, stage, site);
      return {
        key: sent,
        decode: () =>
          decodeUpdate({
            store,
            sent,
            target: updateKey(run, stage, site),
            base: startKeyOf(stateOf(run), stage),
            encoding: plan.wire.up,
            isKept: isKeptBy(plan),
            leftOut: leftOut(plan),
            what: `the update of ${site} for round ${stage.round}`,
            signal,
          }),
      };
    },
  };
}
