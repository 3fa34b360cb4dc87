import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { ClaraError } from '../../base/errors';
import type { StepReport } from '../../fl-site/prepare/local-file';
import { stopSignal } from '../stopping';
import { openTerminal } from '../terminal';
import { wholeNumber } from '../whole-number';

interface PrepareOptions {
  readonly dataset?: string;
  readonly datasetSha256?: string;
  readonly into?: string;
  readonly heldOut?: string;
  readonly seed: string;
  readonly gunzip?: boolean;
  readonly mmar?: string;
  readonly mmarSha256?: string;
  readonly mmarInto?: string;
  readonly mmarCheckpoints?: string;
  readonly mmarTask?: string;
  readonly model?: string;
  readonly modelSha256?: string;
  readonly modelName?: string;
  readonly annotation?: string;
  readonly s3Endpoint?: string;
  readonly json?: boolean;
}

export function prepareCommand(): Command {
  return new Command('prepare')
    .description(
      "Fills a site's workspace: dataset, MMAR, model. What is done already is left alone; what was interrupted goes on.",
    )
    .option('--dataset <source>', 'Decathlon folder, archive, or s3://BUCKET/KEY of an archive')
    .option('--dataset-sha256 <digest>', 'refuse the archive unless it has this digest, sha256:...', digest)
    .option('--into <dir>', 'where the dataset goes; the site configuration names it as dataset.path')
    .option('--held-out <n>', "cases that are not trained on (default: as the source's list says)")
    .option('--seed <n>', 'which cases are held out', '1')
    .option('--gunzip', 'store volumes unpacked')
    .option(
      '--mmar <source>',
      'MMAR of Clara Train: its folder, or with --mmar-into an archive (zip, tar) or s3://BUCKET/KEY of one',
    )
    .option('--mmar-sha256 <digest>', 'refuse the archive unless it has this digest, sha256:...', digest)
    .option('--mmar-into <dir>', 'where the archive goes')
    .option('--mmar-checkpoints <dir>', 'MMAR_CKPT_DIR of its environment.json (default: as it says)')
    .option('--mmar-task <name>', 'PROCESSING_TASK of that file (default: as it says, or segmentation)')
    .option(
      '--model <source>',
      'model to serve: safetensors, ONNX, or a zip of an MMAR with one; a file, or s3://BUCKET/KEY (default: the one in --mmar)',
    )
    .option('--model-sha256 <digest>', 'refuse the model unless it has this digest, sha256:...', digest)
    .option('--model-name <name>', 'name under which clients see it')
    .option('--annotation <dir>', 'workspace of the annotation server')
    .option('--s3-endpoint <url>', 'of a server that speaks S3 (default: AWS)')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed site prepare --dataset s3://st-marys-data/Task09_Spleen.tar --into /training/datasets/spleen --held-out 9 --mmar s3://st-marys-data/spleen_mmar.zip --mmar-into /training/mmars/spleen',
    )
    .action(prepare);
}

function digest(text: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be sha256: and 64 hexadecimal digits.');
}

async function prepare(options: PrepareOptions): Promise<void> {
  const { dataset, into, model, modelName, annotation, mmar } = options;
  requireTogether({ '--dataset': dataset, '--into': into });
  requireTogether({ '--model-name': modelName, '--annotation': annotation });
  requireWith('--model', model, { '--model-name': modelName });
  requireWith('--mmar-into', options.mmarInto, { '--mmar': mmar });
  requireWith('--mmar-sha256', options.mmarSha256, { '--mmar-into': options.mmarInto });
  requireWith('--model-name', modelName, { '--model or --mmar': model ?? mmar });
  if (options.mmarInto === undefined) requireWith('--mmar', mmar, { '--dataset or --mmar-into': dataset });
  if (dataset === undefined && model === undefined && mmar === undefined) {
    throw new ClaraError('invalid-input', 'nothing to prepare: name --dataset, --mmar or --model');
  }
  const terminal = openTerminal(options);
  const steps: StepReport[] = [];
  // Loaded here and not before: an agent has no use for the registry of the annotation server and the client of S3.
  const { prepareSite } = await import('../../fl-site/prepare/prepare-site');
  const signal = stopSignal();
  await prepareSite(
    {
      ...(dataset !== undefined && {
        dataset: {
          from: dataset,
          sha256: options.datasetSha256,
          into: into!,
          division: {
            heldOut: options.heldOut === undefined ? undefined : wholeNumber('--held-out', options.heldOut, 0, 10_000),
            seed: wholeNumber('--seed', options.seed, 0, 0xffffffff),
            gunzip: options.gunzip === true,
          },
        },
      }),
      ...(mmar !== undefined && {
        mmar: {
          from: mmar,
          sha256: options.mmarSha256,
          into: options.mmarInto,
          checkpoints: options.mmarCheckpoints,
          task: options.mmarTask,
        },
      }),
      ...(modelName !== undefined && {
        model: {
          source: model === undefined ? undefined : { from: model, sha256: options.modelSha256 },
          scratch: path.join(annotation!, '.prepare'),
        },
      }),
    },
    {
      isRemote: (from) => from.startsWith('s3://'),
      openRemote: async (address) => {
        const { openS3Object } = await import('../s3-object');
        return openS3Object(address, options.s3Endpoint);
      },
      published: async () => {
        const { servedDigest } = await import('../publish-prepared');
        return servedDigest(annotation!, modelName!);
      },
      publish: async (found) => {
        const { publishPrepared } = await import('../publish-prepared');
        return publishPrepared(annotation!, modelName!, found, signal);
      },
      onStep: (step) => {
        steps.push(step);
        terminal.record({ event: 'step', ...step });
        const share = step.fraction === undefined ? '' : ` (${Math.floor(step.fraction * 100)} %)`;
        terminal.line(`${step.step.padEnd(13)}  ${step.detail}${share}`);
      },
      signal,
    },
  );
  const changed = steps.some(({ state }) => state === 'done');
  terminal.record({ event: 'prepared', changed });
  terminal.line(changed ? 'the site is prepared' : 'the site was prepared already; nothing was changed');
}

function requireTogether(options: Readonly<Record<string, string | undefined>>): void {
  const missing = Object.keys(options).filter((name) => options[name] === undefined);
  if (missing.length === 0 || missing.length === Object.keys(options).length) return;
  throw new ClaraError(
    'invalid-input',
    `${Object.keys(options).join(', ')} belong together; add ${missing.join(', ')}`,
  );
}

function requireWith(
  name: string,
  value: string | undefined,
  needed: Readonly<Record<string, string | undefined>>,
): void {
  const missing = Object.keys(needed).filter((other) => needed[other] === undefined);
  if (value === undefined || missing.length === 0) return;
  throw new ClaraError('invalid-input', `${name} needs ${missing.join(', ')} too`);
}
