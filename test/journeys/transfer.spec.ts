import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import type { PlanInput } from '../../federation/plan';
import { readTensors } from '../../federation/tensors/file';
import { Federation } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const SITES = ['a', 'b'];
const ELEMENTS = 5000;
const W_BYTES = ELEMENTS * 4;

describe('a run that starts from a registered model', function () {
  // Sites wait up to 20 s before they dial again.
  this.timeout(120_000);

  let federation: Federation;
  /** The run that made `base:1`. */
  let made: string;
  /** What `base:1` is. */
  const base = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES] });
  before(async () => {
    federation = await Federation.start(SITES);
    made = await federation.submit({ trainer: { name: 'shift', parameters: { elements: ELEMENTS } }, rounds: 2 });
    assert.equal((await federation.outcomeOf(made)).summary!.modelDigest, base.digest);
    const registered = await federation.verb('model', 'register', made, '--name', 'base');
    assert.equal(registered.code, 0, registered.stderr);
  });
  after(() => federation?.stop());

  const started = (plan: Partial<PlanInput>, reinitialise?: string[]) =>
    federation.submit({
      initialModel: { from: 'registry', model: 'base', version: 1, ...(reinitialise && { reinitialise }) },
      trainer: { name: 'shift', parameters: { elements: ELEMENTS, biases: 5 } },
      rounds: 2,
      ...plan,
    });
  const fetched = async (run: string, round: number) => {
    const file = path.join(federation.folder, `${run}-${round}`);
    const { code, stderr } = await federation.verb('model', 'fetch', run, '--round', String(round), '-o', file);
    assert.equal(code, 0, stderr);
    return (await readTensors(file)).tensors;
  };
  const numbers = (tensors: Awaited<ReturnType<typeof fetched>>, name: string) => [
    ...(tensors.get(name)!.data as Float32Array),
  ];

  it('goes on from its bytes', async () => {
    const { summary } = await federation.outcomeOf(await started({}));
    const expected = shiftModel({ strategy: 'fedavg', elements: ELEMENTS, rounds: [SITES, SITES], start: base.bytes });
    assert.equal(summary!.modelDigest, expected.digest);
  });

  it('keeps frozen tensors to the last bit, whatever the strategy, and does not send them', async () => {
    const whole = shiftModel({ strategy: 'fedadam', elements: ELEMENTS, rounds: [SITES, SITES], start: base.bytes });
    const run = await started({ strategy: 'fedadam', frozenTensors: ['^w$'], evaluation: { everyRound: true } });
    const view = await federation.outcomeOf(run);
    assert.equal(view.summary!.state, 'completed', view.summary!.reason);
    const end = await fetched(run, 2);
    const first = base.bytes.subarray(base.bytes.length - W_BYTES - 12, base.bytes.length - 12);
    assert.ok(Buffer.from((end.get('w')!.data as Float32Array).buffer).equals(first), 'w is as it was');
    // FedAdam works coordinate by coordinate: bias moves as it does when w moves beside it.
    const biases = [0, 1, 2].map((i) => whole.bytes.readFloatLE(whole.bytes.length - 12 + i * 4));
    assert.deepEqual(numbers(end, 'bias'), biases);
    for (const { bytesFromSites } of view.rounds) {
      assert.ok(bytesFromSites > 0n && bytesFromSites < BigInt(W_BYTES / 10), `${bytesFromSites} bytes came`);
    }
  });

  it('has a site make some tensors anew, in another shape, and takes the others over', async () => {
    const run = await started({}, ['^bias$']);
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    const first = await fetched(run, 0);
    assert.deepEqual(numbers(first, 'bias'), [7, 8, 9, 10, 11]);
    const w = Buffer.from((first.get('w')!.data as Float32Array).buffer);
    assert.ok(w.equals(base.bytes.subarray(base.bytes.length - W_BYTES - 12, base.bytes.length - 12)));
    assert.equal(numbers(await fetched(run, 2), 'bias').length, 5);
    const shown = await federation.verb('model', 'register', run, '--name', 'wider', '--json');
    const [parent] = JSON.parse(shown.stdout).card.parents;
    assert.deepEqual(parent, { from: 'registry', model: 'base', version: 1, digest: base.digest });
  });

  it('fails, naming the tensor, when the trainer changed one that was to be taken over', async () => {
    await federation.stopSite('a');
    await federation.configureSite('a', { trainer: { MISTAKE: 'changes-kept' } });
    await federation.startSite('a');
    const { summary } = await federation.outcomeOf(await started({}, ['^bias$']));
    assert.equal(summary!.state, 'failed');
    assert.match(summary!.reason, /first weights: w: was changed/);
  });

  it('is refused at once when the registry or the model says that it cannot be', async () => {
    const refused = async (plan: object, rule: RegExp) => {
      const { code, stderr } = await federation.verb('run', 'submit', await federation.planFile(plan as never));
      assert.equal(code, 64, stderr);
      assert.match(stderr, rule);
    };
    const from = { from: 'registry', model: 'base', version: 1 };
    await refused({ initialModel: { ...from, version: 7 } }, /base:7.*is not registered here/);
    await refused({ initialModel: from, frozenTensors: ['^x'] }, /frozenTensors\.0 .*matches no tensor/);
    await refused({ initialModel: from, frozenTensors: ['.'] }, /leaves no tensor to train/);
    await refused({ frozenTensors: ['^w'] }, /would freeze random weights/);
  });

  it('is still there when everything of the run that made it is gone', async () => {
    await federation.coordinator.stop();
    await rm(path.join(federation.folder, 'coordinator', 'store', 'runs', made), { recursive: true });
    await federation.startCoordinator();
    const file = path.join(federation.folder, 'base-again');
    const { code, stderr } = await federation.verb('model', 'fetch', 'base:1', '-o', file);
    assert.equal(code, 0, stderr);
    assert.deepEqual(await readFile(file), base.bytes);
    assert.match((await federation.verb('model', 'show', 'base:1')).stdout, /^base:1 +candidate/);
    await federation.verifyStore();
  });
});
