import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
/** Some chunks, so that an upload can die between two. */
const ELEMENTS = 1_500_000;
const START = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES] });
const PARAMETERS = { name: 'shift', parameters: { elements: ELEMENTS } };

describe('a plan that starts from a file of the operator', function () {
  // Sites wait up to 20 s before they dial again.
  this.timeout(120_000);

  let federation: Federation;
  before(async () => {
    federation = await Federation.start(SITES);
    await writeFile(path.join(federation.folder, 'start.safetensors'), START.bytes);
  });
  after(() => federation?.stop());

  const plan = (more: object = {}) =>
    federation.planFile({
      rounds: 1,
      trainer: PARAMETERS,
      initialModel: { from: 'file', path: './start.safetensors' },
      ...more,
    } as never);
  const stored = async (): Promise<string[]> => {
    const models = path.join(federation.folder, 'coordinator', 'store', 'models');
    return (await readdir(models, { recursive: true }).catch(() => [])).filter((name) => /safetensors$/.test(name));
  };

  it('refuses a plan with faults, or a file that is no model, before anything is uploaded', async () => {
    const faulty = await federation.verb('run', 'submit', await plan({ rounds: 0, colour: 'blue' }));
    assert.equal(faulty.code, 64);
    assert.match(faulty.stderr, /plan has 2 faults/);
    const wrong = await plan({ initialModel: { from: 'file', path: './start.safetensors', sha256: '0'.repeat(64) } });
    assert.match((await federation.verb('run', 'submit', wrong)).stderr, /is not the digest of \.\/start\.safetensors/);
    const missing = await federation.verb(
      'run',
      'submit',
      await plan({ initialModel: { from: 'file', path: './no-such' } }),
    );
    assert.equal(missing.code, 66, missing.stderr);
    const broken = Buffer.from(START.bytes);
    broken.writeFloatLE(Number.POSITIVE_INFINITY, broken.length - 4);
    await writeFile(path.join(federation.folder, 'broken.safetensors'), broken);
    const infinite = await plan({ initialModel: { from: 'file', path: 'broken.safetensors' } });
    const refused = await federation.verb('run', 'submit', infinite);
    assert.equal(refused.code, 64);
    assert.match(refused.stderr, /broken\.safetensors: .*Infinity/);
    assert.deepEqual(await stored(), []);
  });

  it('refuses the digest of a model that nobody uploaded', async () => {
    const unknown = await plan({ initialModel: { from: 'file', sha256: 'f'.repeat(64) } });
    const { code, stderr } = await federation.verb('run', 'submit', unknown);
    assert.equal(code, 64);
    assert.match(stderr, /initialModel\.sha256 .*is no model that was uploaded here/);
  });

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 at `model-upload.half-written`, in the upload of a model that a plan starts from',
    where: 'the process of the coordinator',
    ends: 'nothing of it is left; submitting again sends it again, and the run starts from its bytes',
  }).it('uploads it again after the coordinator was killed in the middle, and starts from its bytes', async () => {
    await federation.coordinator.stop();
    const doomed = await federation.startCoordinator({ [FAULT_POINT_VARIABLE]: 'model-upload.half-written:3' });
    const file = await plan();
    const cut = await federation.verb('run', 'submit', file, '--token', 'from-a-file');
    assert.equal(cut.code, 69, cut.stderr);
    assert.equal((await doomed.ended).signal, 'SIGKILL');
    assert.deepEqual(await stored(), []);

    await federation.startCoordinator();
    const submitted = await federation.verb('run', 'submit', file, '--token', 'from-a-file', '--wait');
    assert.equal(submitted.code, 0, submitted.stderr);
    assert.deepEqual(await stored(), [`${START.digest.slice('sha256:'.length)}.safetensors`]);
    const [, run] = /^run (\S+)$/m.exec(submitted.stdout)!;
    const fetched = path.join(federation.folder, 'round-0');
    assert.equal((await federation.verb('model', 'fetch', run!, '--round', '0', '-o', fetched)).code, 0);
    assert.deepEqual(await readFile(fetched), START.bytes);
    const { summary } = await federation.outcomeOf(run!);
    const expected = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES], start: START.bytes });
    assert.equal(summary!.modelDigest, expected.digest);
    const [event] = await federation.journal(run!);
    const { initialModel } = (event as unknown as { plan: { initialModel: object } }).plan;
    assert.deepEqual(initialModel, { from: 'file', sha256: START.digest.slice('sha256:'.length) });
  });

  it('does not send a model again that is there, by path or by digest', async () => {
    const again = await federation.verb('run', 'submit', await plan(), '--wait', '--json');
    assert.equal(again.code, 0, again.stderr);
    const byDigest = await plan({ initialModel: { from: 'file', sha256: START.digest } });
    const run = (await federation.verb('run', 'submit', byDigest)).stdout.trim();
    assert.equal((await federation.outcomeOf(run)).summary!.state, 'completed');
    assert.equal((await stored()).length, 1);
  });
});
