import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError } from '../base/errors';
import { faultsOf } from '../base/faults';
import { hasSystemCode } from '../base/system-codes';
import { ENVIRONMENTS } from '../stacks/common-keys';
import { readProject, readStackFile, stackNames } from './project-files';

/** The stack of the organisation, which all environments share. */
export const ORGANIZATION_STACK = 'org';

/** What a deployment is made of beside its stack's file. */
const SOURCES = ['Pulumi.yaml', 'package-lock.json', 'stacks', 'components'];

const CATALOGUE = z.array(z.object({ id: z.string() }), { error: 'must be a list of sites' });

/** The folder of Pulumi.yaml with its stack files. */
export class ProjectFolder {
  #sources: Promise<string> | undefined;

  private constructor(
    readonly folder: string,
    readonly name: string,
  ) {}

  /** @throws ClaraError when there is no Pulumi project */
  static open(folder: string): ProjectFolder {
    return new ProjectFolder(folder, readProject(folder).name);
  }

  hasStack(stack: string): boolean {
    return stackNames(this.folder).includes(stack);
  }

  /** Ids of the sites in an environment's catalogue, in its order. */
  siteIds(environment: string): string[] {
    const sites = readStackFile(this.folder, environment)[`${this.name}:sites`] ?? [];
    const parsed = CATALOGUE.safeParse(sites);
    if (parsed.success) return parsed.data.map(({ id }) => id);
    throw ClaraError.ofFaults(`the catalogue in Pulumi.${environment}.yaml`, faultsOf(parsed.error, sites));
  }

  /** Digest of all that decides what a deployment of the stack makes: programs, versions of packages, configuration. */
  async digest(stack: string): Promise<string> {
    this.#sources ??= digestOfSources(this.folder);
    // The organisation makes the accounts of every catalogue.
    const files =
      stack === ORGANIZATION_STACK ? [stack, ...ENVIRONMENTS.filter((name) => this.hasStack(name))] : [stack];
    const configuration = files.map((file) =>
      Object.entries(readStackFile(this.folder, file)).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    return createHash('sha256')
      .update(JSON.stringify([await this.#sources, configuration], scalarAsText))
      .digest('hex');
  }
}

/** The CLI writes `7` and `true` as text when it touches a stack's file, and means the same. */
function scalarAsText(_key: string, value: unknown): unknown {
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
}

async function digestOfSources(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const files = await readdir(path.join(folder, source), { recursive: true, withFileTypes: true }).catch((error) => {
      if (hasSystemCode(error, 'ENOTDIR', 'ENOENT')) return undefined;
      throw ClaraError.from(error);
    });
    const names = files
      ?.filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort() ?? [path.join(folder, source)];
    for (const name of names) {
      const bytes = await readFile(name).catch(() => undefined);
      if (bytes) hash.update(`${path.relative(folder, name)}\0${bytes.length}\0`).update(bytes);
    }
  }
  return hash.digest('hex');
}
