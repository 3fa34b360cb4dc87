import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Address } from '../../fl-coordinator/storage/store-address';
import { S3_SERVERS, type S3ServerName } from '../../scripts/s3-servers';
import { freePort } from './free-port';
import { until } from './until';

/** What the default credential chain of the SDK finds, in this process and in those that it starts. */
export const S3_CREDENTIALS = {
  AWS_ACCESS_KEY_ID: 'testaccesskey',
  AWS_SECRET_ACCESS_KEY: 'testsecretkey0',
  AWS_REGION: 'us-east-1',
  // As s3-bucket.ts does before it makes a client.
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
} as const;

/** A real S3 server on a free port of this machine, in a temporary folder. */
export class S3Server {
  #process: ChildProcess | undefined;
  #printed = '';

  private constructor(
    readonly name: S3ServerName,
    readonly folder: string,
    readonly port: number,
    private readonly environmentBefore: Readonly<Record<string, string | undefined>>,
  ) {}

  /** @throws skips the suite, with the reason, when the server is not installed here */
  static async start(context: Mocha.Context, name: S3ServerName): Promise<S3Server> {
    const { name: title, isInstalled, needs } = S3_SERVERS[name];
    if (!isInstalled()) {
      console.log(`      skipped: ${title} is not installed; npm run s3-servers installs it (it needs ${needs})`);
      context.skip();
    }
    const before = Object.fromEntries(Object.keys(S3_CREDENTIALS).map((variable) => [variable, process.env[variable]]));
    Object.assign(process.env, S3_CREDENTIALS);
    const server = new S3Server(name, await mkdtemp(path.join(tmpdir(), 'clara-s3-')), await freePort(), before);
    await server.launch();
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process!.pid!;
  }

  /** Starts it on the same folder and port. */
  async launch(): Promise<void> {
    const { program } = S3_SERVERS[this.name];
    const { args, environment } = await this.#startOf();
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: this.folder, ...environment },
    });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#printed = (this.#printed + text).slice(-10_000);
      });
    }
    this.#process = child;
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${this.name} ended: ${this.#printed}`);
      return fetch(this.endpoint).then(
        (answer) => answer.status < 500,
        () => false,
      );
    }, `${this.name} answers`);
  }

  /** A new bucket. */
  async bucket(bucket: string, { versioned = false } = {}): Promise<S3Address> {
    const client = this.client();
    try {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
      if (versioned) {
        const VersioningConfiguration = { Status: 'Enabled' as const };
        await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
      }
    } finally {
      client.destroy();
    }
    return { kind: 's3', bucket, prefix: '', endpoint: this.endpoint };
  }

  /** For what only a test asks of a bucket. */
  client(): S3Client {
    return new S3Client({ endpoint: this.endpoint, forcePathStyle: true });
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** @throws Error when it had ended by itself: then nothing that a test says of a store can be believed */
  async stop(): Promise<void> {
    const { exitCode = null, signalCode = null } = this.#process ?? {};
    const how = signalCode ?? exitCode;
    await this.kill();
    for (const [variable, value] of Object.entries(this.environmentBefore)) {
      if (value === undefined) delete process.env[variable];
      else process.env[variable] = value;
    }
    await rm(this.folder, { recursive: true, force: true });
    if (how !== null) throw new Error(`${this.name} ended by itself (${how}): ${this.#printed}`);
  }

  async #startOf(): Promise<{ readonly args: string[]; readonly environment: Readonly<Record<string, string>> }> {
    const at = (name: string): string => path.join(this.folder, name);
    if (this.name === 'versitygw') {
      for (const name of ['root', 'versions', 'iam']) await mkdir(at(name), { recursive: true });
      const address = ['--port', `127.0.0.1:${this.port}`, '--region', S3_CREDENTIALS.AWS_REGION];
      const rest = ['--keep-alive', '--quiet', '--health', '/healthz', '--iam-dir', at('iam')];
      return {
        args: [...address, ...rest, 'posix', '--versioning-dir', at('versions'), at('root')],
        environment: {
          ROOT_ACCESS_KEY: S3_CREDENTIALS.AWS_ACCESS_KEY_ID,
          ROOT_SECRET_KEY: S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY,
        },
      };
    }
    return {
      args: [],
      environment: {
        ...S3_CREDENTIALS,
        AUTH: 'true',
        BIND_HOST: '127.0.0.1',
        GATEWAY_PORT: String(this.port),
        S3_PERSIST: '1',
        S3_DATA_DIR: at('s3'),
        PERSIST_STATE: '1',
        STATE_DIR: at('state'),
      },
    };
  }
}
