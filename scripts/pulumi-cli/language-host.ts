import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type * as grpcTypes from '@grpc/grpc-js';
import type * as grpcServices from '@pulumi/pulumi/proto/language_grpc_pb';
import type * as languageTypes from '@pulumi/pulumi/proto/language_pb';
import type * as pluginTypes from '@pulumi/pulumi/proto/plugin_pb';
import type * as emptyTypes from 'google-protobuf/google/protobuf/empty_pb';

/**
 * `pulumi-language-nodejs`: what the engine starts to run a Node.js program (pulumirpc.LanguageRuntime in pulumi/pulumi,
 * proto/pulumi/language.proto). It says its port on standard output, and runs programs and policy packs through the SDK's
 * own entry points, as the official host does. It installs nothing and names no plugins: those who use it have the packages
 * by `npm ci` and attach their providers.
 *
 * It is installed outside any project, so it takes gRPC and the messages from the SDK of the project that it is started in.
 */

const sdk = sdkOfProject();
const grpc = sdk('@grpc/grpc-js') as typeof grpcTypes;
const { LanguageRuntimeService } = sdk('./proto/language_grpc_pb') as typeof grpcServices;
const language = sdk('./proto/language_pb') as typeof languageTypes;
const plugin = sdk('./proto/plugin_pb') as typeof pluginTypes;
const { Empty } = sdk('google-protobuf/google/protobuf/empty_pb') as typeof emptyTypes;

type Unary<Request, Response> = grpcTypes.handleUnaryCall<Request, Response>;

/** The program has said its error to the engine itself (sdk/nodejs/cmd/run, `nodeJSProcessExitedAfterLoggingUserActionableMessage`). */
const SAID_ALREADY = 32;

let engineAddress = process.argv.slice(2).findLast((argument) => !argument.startsWith('-')) ?? '';

function sdkOfProject(): NodeRequire {
  try {
    return createRequire(createRequire(path.join(process.cwd(), 'x')).resolve('@pulumi/pulumi/package.json'));
  } catch {
    process.stderr.write(`there is no @pulumi/pulumi for the program in ${process.cwd()}; run npm ci\n`);
    process.exit(1);
  }
}

/** An entry point of the SDK, looked up as Node.js does from the program's folder. */
function entryPoint(folder: string, name: string): string {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const candidate = path.join(at, 'node_modules/@pulumi/pulumi/cmd', name, 'index.js');
    if (existsSync(candidate)) return candidate;
    if (at === path.dirname(at)) throw new Error(`there is no @pulumi/pulumi for the program in ${folder}; run npm ci`);
  }
}

function environmentOf(info: languageTypes.ProgramInfo | undefined): NodeJS.ProcessEnv {
  const { typescript = true } = (info?.getOptions()?.toJavaScript() ?? {}) as { readonly typescript?: boolean };
  return { ...process.env, PULUMI_NODEJS_TYPESCRIPT: String(typescript) };
}

const run: Unary<languageTypes.RunRequest, languageTypes.RunResponse> = (call, answer) => {
  const { request } = call;
  const info = request.getInfo();
  const pwd = request.getPwd();
  const response = new language.RunResponse();
  const args = [
    entryPoint(pwd, 'run'),
    `--monitor=${request.getMonitorAddress()}`,
    `--engine=${engineAddress}`,
    `--project=${request.getProject()}`,
    `--stack=${request.getStack()}`,
    `--organization=${request.getOrganization()}`,
    `--root-directory=${info?.getRootDirectory()}`,
    `--pwd=${pwd}`,
    `--parallel=${request.getParallel()}`,
    ...(request.getDryrun() ? ['--dry-run'] : []),
    info?.getEntryPoint() || '.',
    ...request.getArgsList(),
  ];
  const child = spawn(process.execPath, args, {
    cwd: pwd,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...environmentOf(info),
      PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    },
  });
  endWithCall(child, call);
  child.once('error', (error) => answer(null, response.setError(error.message)));
  child.once('exit', (code, signal) => {
    if (code === SAID_ALREADY) response.setBail(true);
    else if (code !== 0) response.setError(`the program ended with ${signal ?? code}`);
    answer(null, response);
  });
};

/** A policy pack: it prints its port, and the engine talks to it from then on. */
const runPlugin: grpcTypes.handleServerStreamingCall<
  languageTypes.RunPluginRequest,
  languageTypes.RunPluginResponse
> = (call) => {
  const { request } = call;
  const info = request.getInfo();
  const folder = info?.getProgramDirectory() ?? '';
  const entry = entryPoint(folder, request.getKind() === 'analyzer' ? 'run-policy-pack' : 'run-plugin');
  const program = path.resolve(folder, info?.getEntryPoint() || '.');
  const args =
    request.getKind() === 'analyzer' ? [...request.getArgsList(), program] : [program, ...request.getArgsList()];
  const variables = request
    .getEnvList()
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  const child = spawn(process.execPath, [entry, ...args], {
    cwd: request.getKind() === 'analyzer' ? folder : request.getPwd(),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environmentOf(info), ...(Object.fromEntries(variables) as NodeJS.ProcessEnv) },
  });
  endWithCall(child, call);
  child.stdout.on('data', (bytes: Buffer) => call.write(new language.RunPluginResponse().setStdout(bytes)));
  child.stderr.on('data', (bytes: Buffer) => call.write(new language.RunPluginResponse().setStderr(bytes)));
  child.once('close', (code) => {
    call.write(new language.RunPluginResponse().setExitcode(code ?? 0));
    call.end();
  });
};

function endWithCall(child: ChildProcess, call: { on(event: 'cancelled', listener: () => void): unknown }): void {
  call.on('cancelled', () => child.kill('SIGTERM'));
}

/** A throw of `handler` before its first wait becomes the status of the call. */
function guarded<Call, Answer extends unknown[]>(handler: (call: Call, ...rest: Answer) => void) {
  return (call: Call, ...rest: Answer): void => {
    try {
      handler(call, ...rest);
    } catch (error) {
      const status = {
        code: grpc.status.FAILED_PRECONDITION,
        details: error instanceof Error ? error.message : String(error),
      };
      const [answer] = rest;
      if (typeof answer === 'function') answer(status);
      else (call as grpcTypes.ServerWritableStream<unknown, unknown>).emit('error', status);
    }
  };
}

const server = new grpc.Server();
server.addService(LanguageRuntimeService as unknown as grpcTypes.ServiceDefinition, {
  handshake: ((call, answer) => {
    engineAddress = call.request.getEngineAddress() || engineAddress;
    answer(null, new language.LanguageHandshakeResponse());
  }) as Unary<languageTypes.LanguageHandshakeRequest, languageTypes.LanguageHandshakeResponse>,
  getPluginInfo: ((_call, answer) => answer(null, new plugin.PluginInfo().setVersion('1.0.0'))) as Unary<
    unknown,
    pluginTypes.PluginInfo
  >,
  getRequiredPackages: ((_call, answer) => answer(null, new language.GetRequiredPackagesResponse())) as Unary<
    unknown,
    languageTypes.GetRequiredPackagesResponse
  >,
  run: guarded(run),
  runPlugin: guarded(runPlugin),
  cancel: ((_call, answer) => answer(null, new Empty())) as Unary<unknown, emptyTypes.Empty>,
});
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${port}\n`);
});
// The engine holds the other end of our standard input; when it has died there is nobody to serve.
process.stdin.resume();
process.stdin.once('end', () => process.exit(0));
