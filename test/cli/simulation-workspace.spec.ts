import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SimulationWorkspace } from '../../cli/simulate/workspace';

describe('the workspace of a simulation', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'clara-simulation-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const filesOf = async () => (await readdir(folder)).filter((name) => !/agent\.lock/.test(name));
  const open = async () => {
    const workspace = await SimulationWorkspace.open(folder);
    const files = await filesOf();
    await workspace.close({ keep: true });
    return files;
  };

  it('holds nothing of a dataset that a killed simulation was unpacking, dividing, or had kept', async () => {
    await open();
    for (const left of ['datasets/extracted.partial/imagesTr', 'datasets/extracted', 'datasets/site-1/training']) {
      await mkdir(path.join(folder, 'federation', left), { recursive: true });
      await writeFile(path.join(folder, 'federation', left, 'dataset.json'), '{}');
    }
    await writeFile(path.join(folder, '.report.html.partial-0123456789ab'), 'half of a report');
    assert.deepEqual(await open(), ['simulation.json']);
  });

  it('is one again though its first start was killed before its mark was whole', async () => {
    await writeFile(path.join(folder, '.simulation.json.partial-0123456789ab'), '{');
    assert.deepEqual(await open(), ['simulation.json']);
  });

  it('is no folder of anybody else', async () => {
    await writeFile(path.join(folder, 'thesis.tex'), 'years of work');
    await assert.rejects(open(), { code: 'already-exists', message: /thesis\.tex/ });
    assert.deepEqual(await filesOf(), ['thesis.tex']);
  });
});
