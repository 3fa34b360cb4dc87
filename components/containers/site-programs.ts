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

const MOUNTS = { ...SITE_FOLDERS, scratch: '/tmp' } as const;

/** The hospital's agent. */
export function agentProgram(): Program {
  return {
    command: ['site', 'start', '--config', CONFIGURATION_FILE, '--metrics', METRICS_ADDRESS, '--json'],
    environment: COMMON_ENVIRONMENT,
    ports: [],
    mounts: MOUNTS,
  };
}

/**
 * Trades the invitation for a certificate, once; the key is made here and stays in the room of the agent.
 *
 * @param invitationArn secret that holds the one-time invitation
 */
export function enrolProgram(invitationArn: string): Program {
  return {
    command: [
      ...['site', 'enrol', '--credentials', `${SITE_FOLDERS.agent}/credentials`],
      ...['--invitation-secret', invitationArn, '--json'],
    ],
    environment: COMMON_ENVIRONMENT,
    ports: [],
    mounts: MOUNTS,
  };
}

/** Looks at all that the agent needs, from where the agent runs. */
export function preflightProgram(): Program {
  return {
    command: ['site', 'preflight', '--config', CONFIGURATION_FILE, '--json'],
    environment: COMMON_ENVIRONMENT,
    ports: [],
    mounts: MOUNTS,
  };
}

/**
 * Brings the site's dataset from its bucket to where the agent and its trainers read it: resumable, and done only once.
 *
 * @param bucket name of the site's dataset bucket, which holds `<dataset>.tar`
 * @param dataset folder below the datasets of the training room
 */
export function prepareProgram(bucket: string, dataset: string): Program {
  return {
    command: [
      ...['site', 'prepare', '--dataset', `s3://${bucket}/${dataset}.tar`],
      ...['--into', `${SITE_FOLDERS.training}/datasets/${dataset}`, '--json'],
    ],
    environment: COMMON_ENVIRONMENT,
    ports: [],
    mounts: MOUNTS,
  };
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
