import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';

/** The text files of a small MMAR in the layout of Clara Train 4: what a site downloads, but for the model. */
export function mmarFiles(): Record<string, string> {
  return {
    'config/environment.json': json({
      DATA_ROOT: '/workspace/data/Task09_Spleen',
      DATASET_JSON: '/workspace/data/Task09_Spleen/dataset_0.json',
      PROCESSING_TASK: 'segmentation',
      MMAR_EVAL_OUTPUT_PATH: 'eval',
      MMAR_CKPT_DIR: 'models',
      MMAR_CKPT: 'models/model.pt',
    }),
    'config/config_train.json': json({
      epochs: 1250,
      learning_rate: 0.0002,
      multi_gpu: false,
      dont_load_ckpt_model: true,
      determinism: { random_seed: 0 },
      train: {
        model: { name: 'UNet', args: { in_channels: 1, out_channels: 2 } },
        dataset: { name: 'CacheDataset', data_list_file_path: '{DATASET_JSON}', data_file_base_dir: '{DATA_ROOT}' },
        handlers: [
          {
            name: 'CheckpointLoader',
            disabled: '{dont_load_ckpt_model}',
            args: { load_path: '{MMAR_CKPT}', load_dict: ['model'] },
          },
          {
            name: 'CheckpointSaver',
            rank: 0,
            args: { save_dir: '{MMAR_CKPT_DIR}', save_dict: ['model', 'optimizer'], save_final: true },
          },
        ],
      },
    }),
    'commands/set_env.sh': program('set_env.sh'),
    'commands/train.sh': program('train.sh'),
    'docs/Readme.md': 'A network for tests.\n',
  };
}

/** Writes files below a folder. */
export function writeFiles(folder: string, files: Readonly<Record<string, string | Buffer>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
}

/** A tar archive of these files. */
export function tarOfFiles(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, Buffer.from(content));
  archive.finalize();
  return buffer(archive as unknown as AsyncIterable<Uint8Array>);
}

const json = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;

const program = (name: string) => readFileSync(path.join(__dirname, 'commands', name), 'utf8');
