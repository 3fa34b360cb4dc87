import type { Dirent } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspectWith } from '../../../aiaa/inference/probe';
import { publishModel } from '../../../aiaa/registry/publish-model';
import { type AnnotationServer, type AnnotationServerOptions, startAnnotationServer } from '../../../aiaa/server';
import { hasSystemCode } from '../../../base/system-codes';
import { parseExposition, seriesValue } from '../../support/exposition';
import { engines } from './fake-engine';
import { exchange, plainRequest } from './raw-http';

export const FAKE_ENGINE = path.join(__dirname, 'fake-engine');
export const SPLEEN = 'clara_ct_seg_spleen';

/** A workspace and servers in it, all gone after {@link Site.clear}. */
export class Site {
  private readonly servers: AnnotationServer[] = [];

  private constructor(readonly workspace: string) {}

  static async make(): Promise<Site> {
    return new Site(await mkdtemp(path.join(tmpdir(), 'aiaa-')));
  }

  /** A server with the engine double, and a model that it can use. */
  async serve(options: Partial<AnnotationServerOptions> = {}): Promise<AnnotationServer> {
    const server = await startAnnotationServer({ workspace: this.workspace, engineModule: FAKE_ENGINE, ...options });
    this.servers.push(server);
    return server;
  }

  async publish(version = '1', content = `weights ${version}`, name = SPLEEN) {
    const file = path.join(this.workspace, 'to-publish.safetensors');
    await writeFile(file, content);
    try {
      return await publishModel(
        this.workspace,
        { file, name, version, labels: ['spleen'], description: 'A double for tests' },
        { inspect: inspectWith(engines) },
      );
    } finally {
      await rm(file);
    }
  }

  /** Every short-lived file that there is. */
  async leftovers(): Promise<string[]> {
    const root = path.join(this.workspace, 'scratch');
    return (await itemsBelow(root)).filter((item) => item.parentPath !== root).map(({ name }) => name);
  }

  /** Every file in the workspace, but for those of the requests that run. */
  async everything(): Promise<string[]> {
    return (await itemsBelow(this.workspace))
      .filter((item) => item.isFile() && !item.parentPath.includes(`${path.sep}scratch`))
      .map((item) => path.join(item.parentPath, item.name))
      .sort();
  }

  async clear(): Promise<void> {
    for (const server of this.servers.splice(0)) await server.close();
    await rm(this.workspace, { recursive: true, force: true });
  }
}

async function itemsBelow(root: string): Promise<Dirent[]> {
  try {
    return await readdir(root, { recursive: true, withFileTypes: true });
  } catch (error) {
    if (!hasSystemCode(error, 'ENOENT')) throw error;
    return itemsBelow(root); // a folder went while it was read
  }
}

/** Waits for something that happens soon, without guessing how soon. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + 40_000;
  while (!(await holds())) {
    if (Date.now() > until) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** One figure of a server, as its `/metrics` tells it. */
export async function figure(
  { port }: AnnotationServer,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const { body } = await exchange(port, plainRequest('GET', '/metrics'));
  return seriesValue(parseExposition(body.toString('utf8')), name, labels);
}
