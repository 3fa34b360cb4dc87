import type { Preparation } from '../setting-rules';
import { COMMON_ENVIRONMENT, METRICS_ADDRESS, type Program } from './program';

/** Folders of a site's programs in their containers. */
export const SITE_FOLDERS = {
  /** Room `agent` of the workspace: configuration, credentials, the agent's own workspace. */
  agent: '/agent',
  /** Room `training`: datasets, and the folders of training tasks. */
  training: '/training',
  /** Room `aiaa`: models that are served. */
  annotation: '/aiaa',
} as const;

export const CONFIGURATION_FILE = `${SITE_FOLDERS.agent}/site.yaml`;

const SCRATCH = { scratch: '/tmp' } as const;
const ALL_ROOMS = { ...SITE_FOLDERS, ...SCRATCH } as const;

/**
 * The hospital's agent. Until it is enrolled it waits for an invitation; the key is made here and stays in the room of the agent.
 *
 * @param invitationArn secret that an invitation goes into
 */
export function agentProgram(invitationArn: string): Program {
  return {
    command: [
      ...['site', 'start', '--config', CONFIGURATION_FILE, '--invitation-secret', invitationArn],
      ...['--metrics', METRICS_ADDRESS, '--json'],
    ],
    environment: COMMON_ENVIRONMENT,
    ports: [],
    mounts: ALL_ROOMS,
  };
}

/** Looks at all that the agent needs, from where the agent runs. */
export function preflightProgram(): Program {
  return {
    command: ['site', 'preflight', '--config', CONFIGURATION_FILE, '--json'],
    environment: COMMON_ENVIRONMENT,
    ports: [],
    mounts: ALL_ROOMS,
  };
}

/**
 * Brings the site's dataset, MMAR and first model from its bucket to where the agent, its trainers and the annotation server read
 * them: resumable, and done only once.
 *
 * @param bucket name of the site's dataset bucket, which holds `<dataset>.tar`
 * @param dataset folder below the datasets of the training room
 */
export function prepareProgram(bucket: string, dataset: string, preparation: Preparation = {}): Program {
  const { sha256, heldOut, seed, gunzip, mmar, model } = preparation;
  const stored = (key: string | undefined) => (key === undefined ? undefined : `s3://${bucket}/${key}`);
  const options: readonly (readonly [string, string | number | undefined])[] = [
    ['--dataset', stored(`${dataset}.tar`)],
    ['--dataset-sha256', sha256],
    ['--into', `${SITE_FOLDERS.training}/datasets/${dataset}`],
    ['--held-out', heldOut],
    ['--seed', seed],
    ['--mmar', stored(mmar?.from)],
    ['--mmar-sha256', mmar?.sha256],
    ['--mmar-into', mmar && mmarFolder(mmar.folder)],
    ['--model', stored(model?.from)],
    ['--model-sha256', model?.sha256],
    ['--model-name', model?.name],
    ['--annotation', model && SITE_FOLDERS.annotation],
  ];
  return {
    command: [
      ...['site', 'prepare'],
      ...options.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)])),
      ...(gunzip ? ['--gunzip'] : []),
      '--json',
    ],
    environment: COMMON_ENVIRONMENT,
    ports: [],
    // Not the agent's room, where its key is: this one unpacks archives.
    mounts: { training: SITE_FOLDERS.training, annotation: SITE_FOLDERS.annotation, ...SCRATCH },
  };
}

/** Where an MMAR lies for the agent and for the container that trains it. */
export function mmarFolder(folder: string): string {
  return `${SITE_FOLDERS.training}/mmars/${folder}`;
}

/** Holds the site's configuration as JSON, which is YAML too. */
export const CONFIGURATION_VARIABLE = 'CONFIGURATION';

/**
 * A container that ends before the agent starts, and writes the site's configuration file where the agent reads it. The text
 * comes in {@link CONFIGURATION_VARIABLE}.
 */
export function configurationWriter(): Program & { readonly entryPoint: readonly string[] } {
  return {
    entryPoint: ['node'],
    command: ['-e', WRITE_CONFIGURATION],
    environment: {
      ...COMMON_ENVIRONMENT,
      CONFIGURATION_FILE,
    },
    ports: [],
    mounts: { agent: SITE_FOLDERS.agent },
  };
}

/** Whole or not at all: an agent that starts meanwhile must not read half a file. */
const WRITE_CONFIGURATION = [
  "const fs = require('node:fs')",
  'const { CONFIGURATION_FILE: file, CONFIGURATION: text } = process.env',
  "fs.writeFileSync(file + '.new', text, { mode: 0o640 })",
  "fs.renameSync(file + '.new', file)",
].join('; ');
