import assert from 'node:assert/strict';
import path from 'node:path';
import type { Mode } from './deployment';
import { Secret, UNKNOWN } from './property-values';
import { type ProgramRun, runProgram } from './run-program';

const FOLDER = path.join(__dirname, 'programs');

function run(program: string, mode: Mode): Promise<ProgramRun> {
  return runProgram({
    root: FOLDER,
    folder: FOLDER,
    program,
    project: 'rules',
    stack: 'dev',
    configuration: { 'rules:password': 'swordfish', 'pulumi:disable-default-providers': '["test"]' },
    secretKeys: ['rules:password'],
    mode,
    partition: 'aws',
  });
}

function named({ resources }: ProgramRun, name: string) {
  const found = resources.find((resource) => resource.name === name);
  assert.ok(found, `nothing named ${name} was registered`);
  return found;
}

const errors = ({ logs }: ProgramRun) => logs.filter(({ severity }) => severity === 'error').map((log) => log.message);

describe('engine double: an update of an unmodified program', () => {
  let update: ProgramRun;
  before(async () => {
    update = await run('behaviours.ts', 'update');
    assert.equal(update.exitCode, 0, update.printed + errors(update).join('\n'));
  });

  it('records parents in the URN, as the engine does', () => {
    assert.equal(
      named(update, 'group-inner').urn,
      'urn:pulumi:dev::rules::clara-federation:test:Group$test:index:Thing::group-inner',
    );
  });

  it('records provider, dependency, protection of the parent and retention', () => {
    const inner = named(update, 'group-inner');
    assert.equal(inner.provider, named(update, 'given').urn);
    assert.ok(inner.dependencies.includes(named(update, 'first').urn));
    assert.equal(inner.protect, true);
    assert.equal(inner.retainOnDelete, true);
    assert.equal(named(update, 'first').protect, false);
  });

  it('keeps a secret marked from the configuration to the outputs', () => {
    assert.deepEqual(named(update, 'first').inputs.value, new Secret('swordfish'));
    assert.deepEqual(update.outputs?.secret, new Secret('swordfish'));
  });

  it('hands the id of one resource to the next', () => {
    assert.equal(named(update, 'group-inner').inputs.value, 'first-id');
    assert.equal(update.outputs?.inner, 'first-id');
  });

  it('records what a component registers as outputs', () => {
    assert.deepEqual(named(update, 'group').outputs, { inner: 'first-id' });
  });
});

describe('engine double: a preview', () => {
  let preview: ProgramRun;
  before(async () => {
    preview = await run('behaviours.ts', 'preview');
    assert.equal(preview.exitCode, 0, preview.printed + errors(preview).join('\n'));
  });

  it('knows no id that the cloud would choose, and still sees every resource', () => {
    assert.equal(named(preview, 'group-inner').inputs.value, UNKNOWN);
    assert.deepEqual(preview.resources.map(({ name }) => name).sort(), [
      'first',
      'given',
      'group',
      'group-inner',
      'rules-dev',
    ]);
  });

  it('knows what was configured', () => {
    assert.deepEqual(named(preview, 'first').inputs.value, new Secret('swordfish'));
  });
});

describe('engine double: what the engine refuses', () => {
  it('two resources of one type, parent and name', async () => {
    const twice = await run('same-name-twice.ts', 'update');
    assert.notEqual(twice.exitCode, 0);
    assert.match(errors(twice).join('\n') + twice.printed, /Duplicate resource URN .*::twin/);
  });

  it('a resource without a provider where default providers are off', async () => {
    const orphan = await run('no-provider.ts', 'update');
    assert.notEqual(orphan.exitCode, 0);
    assert.match(errors(orphan).join('\n') + orphan.printed, /Default provider for 'test' disabled/);
  });
});
