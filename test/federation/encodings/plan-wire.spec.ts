import assert from 'node:assert/strict';
import { hasCode } from '../../../base/errors';
import { checkPlan } from '../../../federation/plan';

const minimal = { name: 'spleen', trainer: { name: 'reference' }, rounds: 1 };
const wireOf = (wire: unknown) => checkPlan({ ...minimal, wire }).wire;

function faultsOf(plan: object): string[] {
  try {
    checkPlan({ ...minimal, ...plan });
  } catch (error) {
    assert.ok(hasCode(error, 'invalid-input'));
    return error.faults.map(({ path, rule }) => `${path} ${rule}`);
  }
  return [];
}

describe('the wire of a plan', () => {
  it('is float32 both ways when nothing is said', () => {
    const asItIs = { encoding: 'float32', delta: false };
    assert.deepEqual(checkPlan(minimal).wire, { up: asItIs, down: asItIs });
    assert.deepEqual(wireOf({ down: 'float32' }), { up: asItIs, down: asItIs });
  });

  it('may be a name, or a name with settings, and reads its own output again', () => {
    const wire = wireOf({ up: { encoding: 'top-k', fraction: 0.01 }, down: 'int8' });
    assert.deepEqual(wire, {
      up: { encoding: 'top-k', delta: true, fraction: 0.01 },
      down: { encoding: 'int8', delta: false, rounding: 'nearest' },
    });
    assert.deepEqual(wireOf(wire), wire);
    assert.deepEqual(wireOf({ up: { encoding: 'int8', delta: true, rounding: 'stochastic' } }).up, {
      ...{ encoding: 'int8', delta: true, rounding: 'stochastic' },
    });
  });

  it('refuses what cannot be, each with its reason', () => {
    assert.deepEqual(faultsOf({ wire: { up: 'gzip', down: 'top-k' } }), [
      'wire.up.encoding must be one of float32, float16, bfloat16, int8, top-k',
      'wire.down.encoding must be one of float32, float16, bfloat16, int8; top-k is for updates (wire.up)',
    ]);
    const [delta] = faultsOf({ wire: { down: { encoding: 'float16', delta: true } } });
    assert.match(delta!, /^wire\.down\.delta cannot be true/);
    const [dense] = faultsOf({ wire: { up: { encoding: 'top-k', fraction: 0.1, delta: false } } });
    assert.match(dense!, /^wire\.up\.delta cannot be false: top-k sends the largest changes/);
    for (const fraction of [0, 0.51, undefined]) {
      assert.match(faultsOf({ wire: { up: { encoding: 'top-k', fraction } } })[0]!, /^wire\.up\.fraction /);
    }
    assert.match(
      faultsOf({ wire: { up: { encoding: 'float16', fraction: 0.1 } } })[0]!,
      /^wire\.up\.fraction is not known/,
    );
  });

  it('goes with late updates, asynchronous and cyclic runs, but for top-k where weights travel from site to site', () => {
    const lossy = { up: { encoding: 'int8', delta: true }, down: 'int8' };
    const topK = { up: { encoding: 'top-k', fraction: 0.1 }, down: 'float16' };
    for (const wire of [lossy, topK]) {
      assert.deepEqual(faultsOf({ wire, cohort: ['a', 'b'], quorum: 1, lateUpdates: 'next-round' }), []);
      assert.deepEqual(faultsOf({ wire, mode: 'asynchronous', buffer: { size: 2 } }), []);
    }
    assert.deepEqual(faultsOf({ wire: lossy, mode: 'cyclic' }), []);
    const [one, ...none] = faultsOf({ wire: topK, mode: 'cyclic' });
    assert.match(
      one!,
      /^wire\.up top-k does not go with mode cyclic, .*; use \{encoding: int8, delta: true\}, or mode/,
    );
    assert.deepEqual(none, []);
    const rules = faultsOf({ wire: topK, mode: 'cyclic', strategy: 'scaffold' });
    assert.equal(rules.filter((rule) => rule.startsWith('wire.up ')).length, 2, 'each is told');
  });

  it('goes with every combiner, and not up with scaffold or with statistics', () => {
    assert.deepEqual(faultsOf({ strategy: 'median', cohort: ['a', 'b', 'c'], wire: { up: 'int8' } }), []);
    assert.deepEqual(faultsOf({ strategy: 'scaffold', wire: { down: 'float16' } }), []);
    assert.match(
      faultsOf({ strategy: 'scaffold', wire: { up: 'int8' } })[0]!,
      /^wire\.up cannot be encoded with scaffold/,
    );
    assert.match(
      faultsOf({ statistics: {}, wire: { up: 'int8' }, rounds: 1 })[0]!,
      /^wire does not go with statistics/,
    );
  });
});
