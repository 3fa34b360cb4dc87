import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ClaraError } from '../../base/errors';
import { checkSiteConfiguration, loadSiteConfiguration } from '../../fl-site/configuration';

const GOOD = `
id: st-marys
coordinator: fed.example.org:8443
credentials: credentials
workspace: /var/lib/clara
dataset: { kind: decathlon, path: ../data/spleen }
trainer:
  name: unet3d
  adapter: process
  command: [python3, -u, train.py]
limits: { diskBytes: 1.5GiB, taskTimeout: 2h, updateBytes: 1000 }
`;

describe('the site configuration', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-configuration-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const load = (text: string) => {
    const file = path.join(folder, 'site.yaml');
    writeFileSync(file, text);
    return loadSiteConfiguration(file);
  };
  const faults = async (text: string) => {
    const error: ClaraError = await load(text).then(
      () => assert.fail('must be refused'),
      (thrown) => thrown,
    );
    assert.equal(error.code, 'invalid-input');
    return error;
  };

  it('fills in defaults and resolves paths against the folder of the file', async () => {
    const site = await load(GOOD);
    assert.equal(site.credentials, path.join(folder, 'credentials'));
    assert.equal(site.workspace, '/var/lib/clara');
    assert.deepEqual(site.dataset, { kind: 'decathlon', path: path.resolve(folder, '../data/spleen') });
    assert.equal(site.limits.diskBytes, 1.5 * 2 ** 30);
    assert.equal(site.limits.taskTimeout, 7_200_000);
    assert.equal(site.limits.updateBytes, 1000);
    assert.equal(site.limits.modelBytes, 4 * 2 ** 30);
    assert.equal(site.limits.maxRounds, 1000);
    assert.deepEqual(site.policy, { approve: 'automatic', promotions: 'person' });
    assert.equal(site.annotation, undefined);
  });

  it('lists every fault with path, value and rule', async () => {
    const error = await faults(`
id: St Mary
coordinator: fed.example.org
credentials: c
workspace: w
dataset: { kind: dicom, path: x }
trainer: { name: unet3d, adapter: process, command: [] }
limits: { maxRounds: 0, diskBytes: plenty, colour: blue }
policy: { approve: maybe }
`);
    assert.deepEqual(error.faults.map(({ path: where }) => where).sort(), [
      'coordinator',
      'dataset.kind',
      'id',
      'limits.colour',
      'limits.diskBytes',
      'limits.maxRounds',
      'policy.approve',
      'trainer.command',
    ]);
    const disk = error.faults.find(({ path: where }) => where === 'limits.diskBytes')!;
    assert.equal(disk.value, '"plenty"');
    assert.match(disk.rule, /500MiB or 4GiB/);
  });

  it('asks for a command only where one is needed', async () => {
    const reference = GOOD.replace('adapter: process', 'adapter: reference');
    assert.match((await faults(reference)).message, /trainer\.command.*is not known here/);
    const site = await load(reference.replace(/ {2}command:.*\n/, ''));
    assert.equal(site.trainer.adapter, 'reference');
  });

  it('refuses ports, sizes and variables that cannot be', () => {
    const base = { id: 'a', credentials: 'c', workspace: 'w', dataset: { kind: 'none' } };
    const trainer = { name: 't', adapter: 'reference' };
    for (const coordinator of ['host:0', 'host:65536', 'host:port', ':1', 'a b:1', 'host']) {
      assert.throws(() => checkSiteConfiguration({ ...base, trainer, coordinator }, '/'), /coordinator/, coordinator);
    }
    const good = { ...base, coordinator: '[::1]:8443' };
    checkSiteConfiguration({ ...good, trainer }, '/');
    checkSiteConfiguration({ ...good, trainer, coordinator: ['a:8443', 'b:8443'] }, '/');
    for (const coordinator of [[], ['a:8443', 'b'], Array.from({ length: 11 }, () => 'a:8443')]) {
      assert.throws(() => checkSiteConfiguration({ ...good, trainer, coordinator }, '/'), /coordinator/);
    }
    for (const diskBytes of [0, -1, 1.5, '0MiB', '4GB', '']) {
      assert.throws(
        () => checkSiteConfiguration({ ...good, trainer, limits: { diskBytes } }, '/'),
        /limits\.diskBytes/,
      );
    }
    const environment = { 'A-B': '1' };
    assert.throws(() => checkSiteConfiguration({ ...good, trainer: { ...trainer, environment } }, '/'), /environment/);
  });

  it('is a sentence when the file is absent, no YAML, or huge', async () => {
    await assert.rejects(loadSiteConfiguration(path.join(folder, 'none.yaml')), /cannot read the site configuration/);
    assert.match((await faults('id: [')).message, /neither YAML nor JSON/);
    assert.match((await faults(`# ${'x'.repeat(200_000)}`)).message, /at most 100000 are read/);
  });
});
