import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

interface Version {
  readonly id: string;
  readonly text: string;
}

interface Asked {
  readonly SecretId: string;
  readonly SecretString?: string;
  readonly ClientRequestToken?: string;
}

/** As the API names them. */
class Refusal extends Error {}

/**
 * Secrets Manager as far as one rule goes that moto keeps for one caller at a time only (API reference, "PutSecretValue"): a token
 * that a version has already is refused with another text, and does nothing with the same. Secrets are there once they were made
 * by {@link make}.
 */
export class SecretsServer {
  readonly #versions = new Map<string, Version[]>();
  #server!: Server;
  #awaited = 0;
  readonly #held: (() => void)[] = [];
  /** Values that were to be put, with or without success; one that is asked for again counts once. */
  readonly #asked = new Set<string>();
  /** Of all calls from now on; undefined works again. */
  refuses: string | undefined;

  static async start(): Promise<SecretsServer> {
    const server = new SecretsServer();
    server.#server = createServer((request, response) => void server.#answer(request, response));
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A secret without a value. @returns its ARN */
  make(name: string): string {
    const arn = `arn:aws:secretsmanager:eu-west-2:111122223333:secret:${name}-a1B2c3`;
    this.#versions.set(arn, []);
    return arn;
  }

  valueOf(arn: string): string | undefined {
    return this.#versions.get(arn)!.at(-1)?.text;
  }

  /** As an administrator does. */
  put(arn: string, value: string): void {
    this.#versions.get(arn)!.push({ id: `by-hand-${this.#versions.get(arn)!.length}`.padEnd(32, '0'), text: value });
  }

  get puts(): number {
    return this.#asked.size;
  }

  /** Puts are answered when so many values are there to be put, and not before. */
  holdPuts(count: number): void {
    this.#awaited = count;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = JSON.parse(await text(request)) as Asked;
    const operation = String(request.headers['x-amz-target']).split('.')[1];
    if (operation === 'PutSecretValue') await this.#gate(`${asked.SecretId} ${asked.SecretString}`);
    const [status, body] = this.#outcome(operation, asked);
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
  }

  async #gate(put: string): Promise<void> {
    this.#asked.add(put);
    if (this.puts < this.#awaited) await new Promise<void>((resolve) => this.#held.push(resolve));
    else for (const go of this.#held.splice(0)) go();
  }

  #outcome(operation: string, asked: Asked): readonly [status: number, body: object] {
    try {
      if (this.refuses !== undefined) throw new Refusal(this.refuses);
      const versions = this.#versions.get(asked.SecretId);
      if (versions === undefined) throw new Refusal('ResourceNotFoundException');
      const version = operation === 'PutSecretValue' ? added(versions, asked) : versions.at(-1);
      if (version === undefined) throw new Refusal('ResourceNotFoundException');
      const { id, text: SecretString } = version;
      return [200, { ARN: asked.SecretId, VersionId: id, ...(operation === 'GetSecretValue' && { SecretString }) }];
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return [400, { __type: error.message, message: 'refused' }];
    }
  }
}

function added(versions: Version[], { ClientRequestToken: id = '', SecretString: value = '' }: Asked): Version {
  const known = versions.find((version) => version.id === id);
  if (known !== undefined && known.text !== value) throw new Refusal('ResourceExistsException');
  if (known === undefined) versions.push({ id, text: value });
  return known ?? versions.at(-1)!;
}
