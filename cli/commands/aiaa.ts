import { Command, Option } from 'commander';
import pino from 'pino';
import { publishModel } from '../../aiaa/registry/publish-model';
import { startAnnotationServer } from '../../aiaa/server';
import { parsePort } from '../address';
import { aborted, stopSignal } from '../stopping';
import { openTerminal } from '../terminal';

interface StartOptions {
  readonly workspace: string;
  readonly port: string;
  readonly host: string;
  readonly prefix?: string;
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
  readonly json?: boolean;
}

export function aiaaCommand(): Command {
  const command = new Command('aiaa').description('The annotation server that 3D Slicer, MITK and OHIF talk to.');
  command
    .command('start')
    .description('Serves the models of a workspace.')
    .requiredOption('--workspace <dir>', 'models and sessions')
    .option('--port <n>', 'port to listen on (0: any free one)', '5000')
    .option(
      '--host <address>',
      'address to listen on; anything but a loopback address opens it to a network',
      '127.0.0.1',
    )
    .option('--prefix <path>', 'secret path before all others, such as /st-marys/4f1c2a')
    .option('--cors-origin <origin...>', 'origins of web pages that may call this server')
    .option('--log', 'log requests to stderr')
    .option('--json', 'one JSON object a line')
    .addOption(new Option('--parent-pipe').hideHelp())
    .addHelpText('after', '\nExample:\n  clara-fed aiaa start --workspace ./aiaa --port 5000')
    .action(start);
  command
    .command('publish')
    .description('Puts a model into a workspace; a running server serves it at once.')
    .requiredOption('--workspace <dir>', 'models and sessions')
    .requiredOption('--model <file>', 'safetensors model of the reference engine')
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
  return command;
}

async function start(options: StartOptions): Promise<void> {
  const terminal = openTerminal(options);
  const signal = stopSignal(options);
  const server = await startAnnotationServer({
    workspace: options.workspace,
    host: options.host,
    port: parsePort(options.port),
    ...(options.prefix ? { pathPrefix: options.prefix } : {}),
    ...(options.corsOrigin ? { corsOrigins: options.corsOrigin } : {}),
    ...(options.log ? { log: pino(pino.destination(2)) } : {}),
  });
  terminal.record({ event: 'ready', url: server.url, port: server.port });
  terminal.line(`annotation server on ${server.url} (3D Slicer: module NVIDIA AIAA, server URL)`);
  await aborted(signal);
  await server.close();
}

async function publish(options: PublishOptions): Promise<void> {
  const terminal = openTerminal(options);
  const { workspace, model, name, description, modelVersion, sha256 } = options;
  const published = await publishModel(workspace, {
    file: model,
    name,
    ...(description ? { description } : {}),
    ...(modelVersion === undefined ? {} : { version: modelVersion }),
    ...(sha256 === undefined ? {} : { sha256 }),
  });
  terminal.record({ event: 'published', ...published });
  terminal.line(`${name} version ${published.entry.version} is in ${workspace}`);
}
