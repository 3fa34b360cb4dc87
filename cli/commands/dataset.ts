import path from 'node:path';
import { Command } from 'commander';
import { ClaraError, showValue } from '../../base/errors';
import { imagePath, openDecathlon } from '../../imaging/decathlon';
import { orientationOf, spacingOf } from '../../imaging/geometry';
import { readNifti } from '../../imaging/nifti';
import { PHANTOM_SITE_STYLES } from '../../imaging/phantom';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import { openTerminal, table } from '../terminal';
import { wholeNumber } from '../whole-number';

interface PhantomOptions {
  readonly cases: string;
  readonly heldOut: string;
  readonly seed: string;
  readonly style: string;
  readonly json?: boolean;
}

interface InspectOptions {
  readonly json?: boolean;
}

export function datasetCommand(): Command {
  const command = new Command('dataset').description('Datasets: make phantoms, look into what is there.');
  const styles = PHANTOM_SITE_STYLES.map(({ name }) => name).join(', ');
  command
    .command('phantom <dir>')
    .description(
      'Writes a Decathlon folder of synthetic CT-like volumes with a spleen. They say nothing about clinical quality.',
    )
    .option('--cases <n>', 'cases to train on', '8')
    .option('--held-out <n>', 'further cases to measure models on', '2')
    .option('--seed <n>', 'which patients are drawn', '1')
    .option('--style <name>', `scanner and contrast: ${styles}`, PHANTOM_SITE_STYLES[0]!.name)
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed dataset phantom ./phantoms --cases 8 --held-out 2 --seed 7')
    .action(phantom);
  command
    .command('inspect <path>')
    .description('Says what a Decathlon folder or a NIfTI file holds, and everything that is wrong with it.')
    .option('--json', 'one JSON object a case')
    .addHelpText('after', '\nExample:\n  clara-fed dataset inspect ./Task09_Spleen')
    .action(inspect);
  return command;
}

async function phantom(folder: string, options: PhantomOptions): Promise<void> {
  const terminal = openTerminal(options);
  const style = PHANTOM_SITE_STYLES.find(({ name }) => name === options.style);
  if (!style) {
    const names = PHANTOM_SITE_STYLES.map(({ name }) => name).join(', ');
    throw new ClaraError('invalid-input', `--style ${showValue(options.style)} must be one of ${names}`);
  }
  const cases = wholeNumber('--cases', options.cases, 1, 10_000);
  const heldOut = wholeNumber('--held-out', options.heldOut, 0, 10_000);
  const seed = wholeNumber('--seed', options.seed, 0, 0xffffffff);
  const { name: _, ...scanner } = style;
  const dataset = await writePhantomDataset(folder, { cases, heldOut, seed, ...scanner });
  const facts = { folder: path.resolve(folder), training: dataset.training.length, heldOut: dataset.validation.length };
  terminal.record({ event: 'written', ...facts });
  terminal.line(`${facts.folder}: ${facts.training} cases to train on, ${facts.heldOut} held out (synthetic)`);
}

async function inspect(target: string, options: InspectOptions): Promise<void> {
  const terminal = openTerminal(options);
  if (/\.nii(\.gz)?$/.test(target)) {
    const facts = await describe(target);
    terminal.record({ event: 'volume', ...facts });
    terminal.line(table([VOLUME_HEADING, volumeRow(facts)]));
    return;
  }
  const dataset = await openDecathlon(target);
  const rows = [VOLUME_HEADING];
  for (const [list, cases] of [
    ['training', dataset.training],
    ['held-out', dataset.validation],
  ] as const) {
    for (const each of cases) {
      const facts = await describe(imagePath(dataset, each));
      terminal.record({ event: 'case', list, id: each.id, ...facts });
      rows.push(volumeRow({ ...facts, file: `${list} ${each.id}` }));
    }
  }
  terminal.line(
    `${dataset.name}: ${dataset.training.length} training, ${dataset.validation.length} held-out, ${dataset.test.length} test`,
  );
  terminal.line(table(rows));
}

interface VolumeFacts {
  readonly file: string;
  readonly shape: readonly number[];
  readonly spacing: readonly number[];
  readonly orientation: string;
  readonly minimum: number;
  readonly maximum: number;
}

const VOLUME_HEADING = ['volume', 'voxels', 'spacing mm', 'axes', 'values'];

async function describe(file: string): Promise<VolumeFacts> {
  const { geometry, data } = await readNifti(file);
  let minimum = Number.POSITIVE_INFINITY;
  let maximum = Number.NEGATIVE_INFINITY;
  for (const value of data) {
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
  }
  return {
    file,
    shape: geometry.shape,
    spacing: spacingOf(geometry),
    orientation: orientationOf(geometry),
    minimum,
    maximum,
  };
}

function volumeRow({ file, shape, spacing, orientation, minimum, maximum }: VolumeFacts): string[] {
  const millimetres = spacing.map((mm) => Number(mm.toFixed(3))).join(' x ');
  return [path.basename(file), shape.join(' x '), millimetres, orientation, `${minimum} to ${maximum}`];
}
