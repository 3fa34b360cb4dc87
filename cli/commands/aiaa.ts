import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { parsePrefix } from '../../aiaa/http/request-path';
import { readConfig } from '../../aiaa/registry/intake/incoming-model';
import { namesOfModels } from '../../aiaa/registry/model-registry';
import { serveVersion, versionsOf } from '../../aiaa/registry/model-versions';
import { publishModel } from '../../aiaa/registry/publish-model';
import { startAnnotationServer } from '../../aiaa/server';
import { ClaraError } from '../../base/errors';
import { startMetricsListener } from '../../base/metrics-listener';
import { parsePort } from '../address';
import { readSecret } from '../aws-secret';
import { metricsAddress, metricsOption } from '../metrics-option';
import { referenceTrainer } from '../reference-trainer';
import { aborted, stopSignal } from '../stopping';
import { openTerminal } from '../terminal';
import { wholeNumber } from '../whole-number';

interface StartOptions {
  readonly workspace: string;
  readonly port: string;
  readonly host: string;
  readonly prefix?: readonly string[];
  readonly prefixSecret?: string;
  readonly slots: string;
  readonly adminFrom?: readonly string[];
  readonly proxyFrom?: readonly string[];
  readonly adminTokenFile?: string;
  readonly metrics?: string | true;
  readonly corsOrigin?: readonly string[];
  readonly log?: boolean;
  readonly json?: boolean;
  readonly parentPipe?: boolean;
}

interface PublishOptions {
  readonly workspace: string;
  readonly model: string;
  readonly name: string;
  readonly description?: string;
  readonly modelVersion?: string;
  readonly sha256?: string;
  readonly config?: string;
  readonly json?: boolean;
}

interface RegistryOptions {
  readonly workspace: string;
  readonly json?: boolean;
}

interface RollbackOptions extends RegistryOptions {
  readonly name: string;
  readonly to: string;
}

export function aiaaCommand(): Command {
  const command = new Command('aiaa').description(
    "The annotation server: NVIDIA's AIAA API and MONAI Label's, for 3D Slicer, MITK and OHIF.",
  );
  command
    .command('start')
    .description('Serves the models of a workspace, over the AIAA API and that of MONAI Label.')
    .requiredOption('--workspace <dir>', 'models, sessions, and the datastore of MONAI Label')
    .option('--port <n>', 'port to listen on (0: any free one)', '5000')
    .option(
      '--host <address>',
      'address to listen on; anything but a loopback address opens it to a network',
      '127.0.0.1',
    )
    .option('--prefix <path...>', 'secret paths, such as /st-marys/4f1c2a, of which clients need one before all others')
    .option('--prefix-secret <arn>', 'a secret of AWS Secrets Manager that holds another one')
    .option('--cors-origin <origin...>', 'origins of web pages that may call this server')
    .option('--slots <n>', 'inference processes, each with the memory of one segmentation', '1')
    .option('--admin-from <address...>', 'addresses or networks that may administer (default: this machine alone)')
    .option('--proxy-from <address...>', 'proxies whose X-Forwarded-For is believed when an administrator calls')
    .option('--admin-token-file <file>', 'file with a token that administrators must send as well')
    .addOption(metricsOption())
    .option('--log', 'log requests to stderr')
    .option('--json', 'one JSON object a line')
    .addOption(new Option('--parent-pipe').hideHelp())
    .addHelpText('after', '\nExample:\n  clara-fed aiaa start --workspace ./aiaa --port 5000')
    .action(start);
  command
    .command('publish')
    .description('Puts a model into a workspace; a running server serves it at once.')
    .requiredOption('--workspace <dir>', 'models and sessions')
    .requiredOption('--model <file>', 'model.safetensors of the reference trainer, or model.onnx')
    .option('--config <file>', 'config_aiaa.json of Clara Train 4.x; needed for model.onnx')
    .requiredOption('--name <name>', 'name under which clients see it')
    .option('--description <text>', 'what it does')
    .option('--model-version <text>', 'version under which clients see it (default: from its digest)')
    .option('--sha256 <digest>', 'refuse the file unless it has this digest, sha256:...')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed aiaa publish --workspace ./aiaa --model model.safetensors --name clara_ct_seg_spleen',
    )
    .action(publish);
  command
    .command('models')
    .description('Lists the models of a workspace and their versions, newest first.')
    .requiredOption('--workspace <dir>', 'models and sessions')
    .option('--json', 'one JSON object a version')
    .addHelpText('after', '\nExample:\n  clara-fed aiaa models --workspace ./aiaa')
    .action(models);
  command
    .command('rollback')
    .description('Serves a version that was published before; a running server serves it at once.')
    .requiredOption('--workspace <dir>', 'models and sessions')
    .requiredOption('--name <name>', 'name under which clients see it')
    .requiredOption('--to <version>', 'the version; aiaa models lists them')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed aiaa rollback --workspace ./aiaa --name clara_ct_seg_spleen --to 3')
    .action(rollback);
  return command;
}

/** @throws ClaraError `invalid-input` when it is none, or empty */
function secretPath(secret: string): string {
  try {
    parsePrefix(secret);
    return secret;
  } catch {
    // Its own sentence repeats the secret.
    throw new ClaraError(
      'invalid-input',
      'the secret of --prefix-secret is no path of letters, digits, "_" and "-" between slashes; put another one in',
    );
  }
}

async function start(options: StartOptions): Promise<void> {
  const terminal = openTerminal(options);
  const signal = stopSignal(options);
  const figures = metricsAddress(options.metrics);
  const prefixes = [...(options.prefix ?? [])];
  if (options.prefixSecret !== undefined) {
    prefixes.push(secretPath(await readSecret('--prefix-secret', options.prefixSecret, signal)));
  }
  const server = await startAnnotationServer({
    workspace: options.workspace,
    host: options.host,
    port: parsePort(options.port),
    pathPrefix: prefixes,
    ...(options.corsOrigin && { corsOrigins: options.corsOrigin }),
    ...(options.log && { logTo: process.stderr }),
    trainer: referenceTrainer(),
    limits: { slots: wholeNumber('--slots', options.slots, 1, 64) },
    operators: {
      ...(options.adminFrom && { from: options.adminFrom }),
      ...(options.proxyFrom && { proxies: options.proxyFrom }),
      ...(options.adminTokenFile && { token: (await readFile(options.adminTokenFile, 'utf8')).trim() }),
    },
  });
  const listener = figures && (await startMetricsListener(figures, server.metrics));
  // What is printed ends in a log, which more people read than the secret.
  const url = prefixes[0] === options.prefix?.[0] ? server.url : new URL('/', server.url).href;
  terminal.record({ event: 'ready', url, port: server.port, metrics: listener?.address });
  terminal.line(`annotation server on ${url} (3D Slicer: module NVIDIA AIAA, server URL)`);
  await aborted(signal);
  await listener?.close();
  await server.close();
}

async function publish(options: PublishOptions): Promise<void> {
  const terminal = openTerminal(options);
  const { workspace, model, name, description, modelVersion, sha256, config } = options;
  const published = await publishModel(workspace, {
    file: model,
    name,
    ...(description ? { description } : {}),
    ...(modelVersion === undefined ? {} : { version: modelVersion }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(config === undefined ? {} : { config: await readConfig(config) }),
    ...(model.endsWith('.onnx') && { engine: 'onnx' as const }),
  });
  terminal.record({ event: 'published', ...published });
  terminal.line(`${name} version ${published.entry.version} is in ${workspace}`);
}

async function models(options: RegistryOptions): Promise<void> {
  const terminal = openTerminal(options);
  for (const name of await namesOfModels(options.workspace)) {
    const { current, versions } = await versionsOf(options.workspace, name);
    for (const { version, engine, labels, publishedAt } of versions) {
      const served = version === current;
      terminal.record({ event: 'version', name, version, served, engine, labels, publishedAt });
      terminal.line(`${served ? '*' : ' '} ${name}  ${version}  ${engine}  ${labels.join(', ')}  ${publishedAt}`);
    }
  }
}

async function rollback({ workspace, name, to, json }: RollbackOptions): Promise<void> {
  const terminal = openTerminal({ json });
  const { entry } = await serveVersion(workspace, name, to);
  terminal.record({ event: 'served', name, version: entry.version });
  terminal.line(`${name} version ${entry.version} is served`);
}
