import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { AWS_SERVER } from '../../scripts/aws-server';
import { freePort } from './free-port';
import { S3_CREDENTIALS } from './s3-server';
import { until } from './until';

/** moto, which answers as AWS does, in memory, on a free port of this machine. */
export class AwsServer {
  private constructor(
    private readonly process: ChildProcess,
    readonly endpoint: string,
  ) {}

  /** @throws skips the suite, with the reason, when the server is not installed here */
  static async start(context: Mocha.Context): Promise<AwsServer> {
    const { name, isInstalled, needs, program } = AWS_SERVER;
    if (!isInstalled()) {
      console.log(`      skipped: ${name} is not installed; npm run aws-server installs it (it needs ${needs})`);
      context.skip();
    }
    const port = await freePort();
    const child = spawn(program, ['-H', '127.0.0.1', '-p', String(port)], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env.PATH, ...S3_CREDENTIALS },
    });
    let printed = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-4000);
    });
    const server = new AwsServer(child, `http://127.0.0.1:${port}`);
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended: ${printed}`);
      return fetch(`${server.endpoint}/moto-api/data.json`).then(
        (answer) => answer.ok,
        () => false,
      );
    }, `${name} answers`);
    return server;
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGKILL');
    await once(this.process, 'exit');
  }
}
