import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  decodedModelKey,
  momentsPrefix,
  sentUpdateKey,
  updateKey,
  wireModelKey,
} from '../../../fl-coordinator/runs/object-names';
import { runObjectOf } from '../../../fl-coordinator/runs/run-objects';
import { stagesOf } from '../../../fl-coordinator/runs/run-state';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import type { ObjectStore } from '../../../fl-coordinator/storage/object-store';
import { isDisposable, KEEP_UPDATES } from '../../../fl-coordinator/upkeep/retention';
import { bytesOfRun, checkRoom } from '../../../fl-coordinator/upkeep/run-room';
import { rejectsWith } from '../api/support/rejects';
import { RUN, Story } from '../runs/story';

const MOMENTS = { fedavg: [], fedavgm: ['velocity'], fedadam: ['first', 'second'] } as const;

describe('the room that a run takes', () => {
  it('is never less than what lies in the store at any moment, and at most the updates and moments of one round more', () => {
    fc.assert(
      fc.property(
        fc.record({
          rounds: fc.integer({ min: 1, max: 4 }),
          sites: fc.integer({ min: 1, max: 4 }),
          siteModels: fc.boolean(),
          crossSite: fc.boolean(),
          encoded: fc.boolean(),
          strategy: fc.constantFrom(...(Object.keys(MOMENTS) as (keyof typeof MOMENTS)[])),
          keep: fc.constantFrom(...KEEP_UPDATES),
        }),
        ({ rounds, sites, siteModels, crossSite, encoded, strategy, keep }) => {
          const names = ['a', 'b', 'c', 'd'].slice(0, sites);
          const story = new Story(
            {
              ...{ rounds, strategy, evaluation: { everyRound: false, siteModels, crossSite } },
              ...(encoded && { wire: { up: 'int8', down: 'float16' } }),
            },
            names,
          );
          story.approveAll();
          const objects = new Set<string>();
          const written = new Set<string>();
          const write = (key: string): void => {
            if (!written.has(key)) objects.add(key);
            written.add(key);
          };
          let most = 0;
          const look = (): void => {
            const { state } = story;
            for (const { stage, results } of stagesOf(state)) {
              for (const [site, { kind }] of results) {
                if (kind !== 'update') continue;
                write(updateKey(RUN, stage, site));
                if (encoded && stage.kind === 'train') write(sentUpdateKey(RUN, stage, site));
              }
            }
            for (const { round } of state.models.slice(1)) {
              for (const name of MOMENTS[strategy]) write(`${momentsPrefix(RUN, round)}/${name}.safetensors`);
            }
            for (const { round } of encoded ? state.models : []) {
              write(wireModelKey(RUN, round));
              write(decodedModelKey(RUN, round));
            }
            // New objects are there before old ones are deleted.
            most = Math.max(most, objects.size + state.models.length);
            for (const key of objects) if (isDisposable(state, runObjectOf(RUN, key)!, keep)) objects.delete(key);
          };
          while (!story.state.outcome) {
            story.deliver(openTasks(story.state)[0]!.site);
            look();
          }
          const { plan } = story.state;
          const bound = bytesOfRun({ plan, sites, modelBytes: 1, keep });
          assert.ok(bound >= most, `${bound} < ${most}`);
          const apart = encoded ? 2 * sites + 2 : sites;
          assert.ok(bound <= most + apart + MOMENTS[strategy].length, `${bound} is far above ${most}`);
        },
      ),
    );
  });

  it('is refused when the store has less, with what it needs and what is free', async () => {
    const { plan } = new Story({ rounds: 3 }, ['a', 'b']).state;
    const size = { plan, sites: 2, modelBytes: 1000, keep: 'none' as const };
    const withRoom = (room: number) => ({ room: async () => room }) as unknown as ObjectStore;
    await checkRoom(withRoom(bytesOfRun(size)), size);
    await rejectsWith(
      'out-of-space',
      checkRoom(withRoom(bytesOfRun(size) - 1), size),
      `the store has ${bytesOfRun(size) - 1} left`,
    );
  });
});
