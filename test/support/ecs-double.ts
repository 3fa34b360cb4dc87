import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';

/**
 * What moto lacks of ECS, before moto: machines that come and go, and containers that run. Every request, of whatever service, goes
 * on to moto, which judges it and makes the task; this double starts the command of the task as a process, writes what it prints to
 * moto's CloudWatch, and puts the true state of the process into what moto answers. Client tokens are honoured as ECS does.
 */

interface Order {
  readonly cluster: string;
  readonly clientToken: string;
  readonly startedBy: string;
  readonly group: string;
  readonly capacityProviderStrategy: readonly object[];
  readonly networkConfiguration?: object;
  readonly tags: readonly { readonly key: string; readonly value: string }[];
  readonly overrides: {
    readonly containerOverrides: readonly {
      readonly name: string;
      readonly command: readonly string[];
      readonly environment: readonly { readonly name: string; readonly value: string }[];
    }[];
  };
}

interface DoubleTask {
  readonly arn: string;
  readonly order: Order;
  status: 'PROVISIONING' | 'PENDING' | 'RUNNING' | 'DEACTIVATING' | 'STOPPED';
  exitCode?: number;
  stopCode?: string;
  stoppedReason?: string;
  containerReason?: string;
  process?: ChildProcess;
}

type Fault =
  | 'throttle'
  | 'lose-answer'
  | { readonly type: string; readonly message: string }
  | { readonly refuse: string };

export interface EcsDoubleOptions {
  /** The folder that the containers have as `/workspace`. */
  readonly workspace: string;
  readonly logGroup: string;
  /** From SIGTERM to SIGKILL. @default 5000 */
  readonly stopMillis?: number;
}

export class EcsDouble {
  /** Machines are there: a task starts at once. Without one it stays PROVISIONING. */
  hasMachine = true;
  /** What containers have beside what their task says. */
  environment: Readonly<Record<string, string>> = {};
  /** Names of the operations that were asked for. */
  readonly calls: string[] = [];
  readonly tasks: DoubleTask[] = [];
  readonly #answers = new Map<string, string>();
  readonly #faults = new Map<string, Fault[]>();
  #logs!: CloudWatchLogsClient;

  private constructor(
    private readonly server: Server,
    private readonly moto: string,
    private readonly options: EcsDoubleOptions,
  ) {}

  static async start(moto: string, options: EcsDoubleOptions): Promise<EcsDouble> {
    const server = createServer((request, response) => {
      double.#serve(request, response).catch((error: Error) => response.destroy(error));
    });
    const double = new EcsDouble(server, moto, options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    double.#logs = new CloudWatchLogsClient({ endpoint: moto });
    await double.#logs.send(new CreateLogGroupCommand({ logGroupName: options.logGroup }));
    return double;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Machines come: what waits for one starts. */
  provide(): void {
    this.hasMachine = true;
    for (const task of this.tasks) if (task.status === 'PROVISIONING') this.#run(task);
  }

  /** Spoils the next requests of this name. */
  spoil(operation: string, ...faults: readonly Fault[]): void {
    this.#faults.set(operation, [...(this.#faults.get(operation) ?? []), ...faults]);
  }

  /** ECS ends a task by itself. */
  end(task: DoubleTask, how: Pick<DoubleTask, 'stopCode' | 'stoppedReason' | 'containerReason' | 'exitCode'>): void {
    Object.assign(task, { status: 'STOPPED', ...how });
    task.process?.kill('SIGKILL');
  }

  /** Everything that was started is gone. */
  async reset(): Promise<void> {
    for (const { process } of this.tasks) {
      if (!process || process.exitCode !== null || process.signalCode !== null) continue;
      process.kill('SIGKILL');
      await once(process, 'exit');
    }
    this.tasks.length = 0;
    this.calls.length = 0;
    this.#faults.clear();
    this.hasMachine = true;
    this.environment = {};
  }

  async stop(): Promise<void> {
    await this.reset();
    this.#logs.destroy();
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const [service, operation = ''] = String(request.headers['x-amz-target'] ?? '').split('.');
    const isEcs = service === 'AmazonEC2ContainerServiceV20141113';
    if (operation !== '') this.calls.push(operation);
    const fault = this.#faults.get(operation)?.shift();
    if (fault === 'throttle') return answer(response, 400, failure('ThrottlingException', 'Rate exceeded'));
    if (typeof fault === 'object' && 'type' in fault) return answer(response, 400, failure(fault.type, fault.message));
    if (typeof fault === 'object') return answer(response, 200, { tasks: [], failures: [{ reason: fault.refuse }] });
    const order = isEcs && operation === 'RunTask' ? (JSON.parse(body.toString()) as Order) : undefined;
    const before = order && this.#answers.get(order.clientToken);
    const text = before ?? (await this.#forward(request, body, response));
    if (text === undefined) return;
    if (order && before === undefined) this.#begin(order, text);
    if (fault === 'lose-answer') return void response.destroy();
    if (operation === 'StopTask' && isEcs)
      this.#stopTask(JSON.parse(body.toString()) as { task: string; reason: string });
    answer(response, 200, isEcs && operation === 'DescribeTasks' ? this.#withStates(text) : text);
  }

  /** @returns the answer of moto; undefined when it is a refusal, which has been passed on */
  async #forward(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<string | undefined> {
    const { host: _, connection: __, 'content-length': ___, expect: ____, ...headers } = request.headers;
    const reply = await fetch(this.moto + request.url, {
      method: request.method!,
      headers: headers as Record<string, string>,
      ...(body.length > 0 ? { body: new Uint8Array(body) } : {}),
    });
    const text = await reply.text();
    const type = reply.headers.get('content-type') ?? 'text/plain';
    if (reply.ok && request.headers['x-amz-target']) return text;
    response.writeHead(reply.status, { 'content-type': type }).end(text);
    return undefined;
  }

  #begin(order: Order, text: string): void {
    this.#answers.set(order.clientToken, text);
    const [made] = (JSON.parse(text) as { tasks: { taskArn: string }[] }).tasks;
    if (!made) return;
    const task: DoubleTask = { arn: made.taskArn, order, status: 'PROVISIONING' };
    this.tasks.push(task);
    if (this.hasMachine) this.#run(task);
  }

  #run(task: DoubleTask): void {
    task.status = 'PENDING';
    const [container] = task.order.overrides.containerOverrides;
    const here = (text: string) => text.replaceAll('/workspace', this.options.workspace);
    const [command, ...args] = container!.command.map(here);
    const environment = container!.environment.map(({ name, value }) => [name, here(value)]);
    const child = spawn(command!, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, ...this.environment, ...Object.fromEntries(environment) },
    });
    task.process = child;
    child.once('spawn', () => {
      if (task.status === 'PENDING') task.status = 'RUNNING';
    });
    const printed = this.#writer(task);
    for (const stream of [child.stdout!, child.stderr!]) createInterface({ input: stream }).on('line', printed.line);
    child.once('close', (code, signal) => {
      void printed.flushed().then(() => {
        if (task.status === 'STOPPED') return;
        const exitCode = signal === 'SIGKILL' ? 137 : signal === 'SIGTERM' ? 143 : (code ?? 1);
        const ended = { stopCode: 'EssentialContainerExited', stoppedReason: 'Essential container in task exited' };
        Object.assign(task, task.stopCode ? {} : ended, { status: 'STOPPED', exitCode });
      });
    });
  }

  /** As the awslogs driver names the stream: PREFIX/CONTAINER/TASK-ID. */
  #writer(task: DoubleTask): { readonly line: (text: string) => void; readonly flushed: () => Promise<unknown> } {
    const { logGroup: logGroupName } = this.options;
    const [container] = task.order.overrides.containerOverrides;
    const logStreamName = `training/${container!.name}/${task.arn.split('/').at(-1)}`;
    let waiting: string[] = [];
    let last: Promise<unknown> = this.#logs.send(new CreateLogStreamCommand({ logGroupName, logStreamName }));
    const put = async (): Promise<void> => {
      const logEvents = waiting.map((message) => ({ message, timestamp: Date.now() }));
      waiting = [];
      if (logEvents.length > 0)
        await this.#logs.send(new PutLogEventsCommand({ logGroupName, logStreamName, logEvents }));
    };
    return {
      line: (text) => {
        waiting.push(text);
        if (waiting.length === 1) last = last.then(put);
      },
      flushed: () => last.then(put),
    };
  }

  #stopTask({ task: arn, reason }: { readonly task: string; readonly reason: string }): void {
    const task = this.tasks.find((known) => known.arn === arn);
    if (!task || task.status === 'STOPPED') return;
    Object.assign(task, { stopCode: 'UserInitiated', stoppedReason: reason });
    if (!task.process) {
      task.status = 'STOPPED';
      return;
    }
    task.status = 'DEACTIVATING';
    task.process.kill('SIGTERM');
    setTimeout(() => task.process?.kill('SIGKILL'), this.options.stopMillis ?? 5000).unref();
  }

  #withStates(text: string): object {
    const { tasks, failures } = JSON.parse(text) as { tasks: Record<string, unknown>[]; failures: unknown[] };
    return {
      failures,
      tasks: tasks.map((told) => {
        const task = this.tasks.find(({ arn }) => arn === told.taskArn);
        if (!task) return told;
        const { status, exitCode, stopCode, stoppedReason, containerReason, order } = task;
        const [container] = order.overrides.containerOverrides;
        const state = { name: container!.name, lastStatus: status, exitCode, reason: containerReason };
        return { ...told, lastStatus: status, stopCode, stoppedReason, containers: [state] };
      }),
    };
  }
}

function failure(type: string, message: string): object {
  return { __type: type, message };
}

function answer(response: ServerResponse, status: number, body: string | object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
