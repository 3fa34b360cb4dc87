import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError, showValue } from '../base/errors';
import { exists } from '../base/exists';
import { faultsOf } from '../base/faults';
import { readYaml } from '../base/yaml';

const MAX_CHARACTERS = 1 << 20;

/** What a deployment is made of beside its stack's file. */
const SOURCES = ['Pulumi.yaml', 'package-lock.json', 'stacks', 'components'];

const PROJECT = z.object({ name: z.string() });
const STACK = z.object({ config: z.record(z.string(), z.unknown()).default({}) });
const CATALOGUE = z.array(z.object({ id: z.string() }), { error: 'must be a list of sites' });

/** The folder of Pulumi.yaml with its stack files. */
export class ProjectFolder {
  #sources: Promise<string> | undefined;

  private constructor(
    readonly folder: string,
    readonly name: string,
  ) {}

  /** @throws ClaraError when there is no Pulumi project */
  static async open(folder: string): Promise<ProjectFolder> {
    const file = path.join(folder, 'Pulumi.yaml');
    const document = await readDocument(file, PROJECT, 'give the folder of Pulumi.yaml with --project');
    return new ProjectFolder(folder, document.name);
  }

  /** @throws ClaraError `invalid-input` for what cannot be the name of a stack, such as a path */
  stackFile(stack: string): string {
    if (!/^[a-z][a-z0-9-]{0,99}$/.test(stack)) {
      throw new ClaraError(
        'invalid-input',
        `${showValue(stack)} cannot be a stack: lower-case letters, digits and hyphens`,
      );
    }
    return path.join(this.folder, `Pulumi.${stack}.yaml`);
  }

  hasStack(stack: string): Promise<boolean> {
    return exists(this.stackFile(stack));
  }

  /** The values of a stack's file, with their namespaces. */
  async configuration(stack: string): Promise<Readonly<Record<string, unknown>>> {
    const wayOut = `the stacks of an environment and of each of its sites have files beside Pulumi.yaml`;
    return (await readDocument(this.stackFile(stack), STACK, wayOut)).config;
  }

  /** Ids of the sites in an environment's catalogue, in its order. */
  async siteIds(environment: string): Promise<string[]> {
    const sites = (await this.configuration(environment))[`${this.name}:sites`] ?? [];
    const parsed = CATALOGUE.safeParse(sites);
    if (parsed.success) return parsed.data.map(({ id }) => id);
    throw ClaraError.ofFaults(`the catalogue in ${this.stackFile(environment)}`, faultsOf(parsed.error, sites));
  }

  /** Digest of all that decides what a deployment of the stack makes: programs, versions of packages, configuration. */
  async digest(stack: string): Promise<string> {
    this.#sources ??= digestOfSources(this.folder);
    const configuration = Object.entries(await this.configuration(stack)).sort(([a], [b]) => (a < b ? -1 : 1));
    return createHash('sha256')
      .update(JSON.stringify([await this.#sources, configuration], scalarAsText))
      .digest('hex');
  }
}

/** The CLI writes `7` and `true` as text when it touches a stack's file, and means the same. */
function scalarAsText(_key: string, value: unknown): unknown {
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
}

async function readDocument<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  wayOut: string,
): Promise<z.output<Schema>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new ClaraError(ClaraError.from(error).code, `${file} cannot be read; ${wayOut}`, { cause: error });
  });
  const document = readYaml(text, { what: file, maxCharacters: MAX_CHARACTERS });
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw ClaraError.ofFaults(file, faultsOf(parsed.error, document));
}

async function digestOfSources(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const files = await readdir(path.join(folder, source), { recursive: true, withFileTypes: true }).catch((error) => {
      if (error.code === 'ENOTDIR' || error.code === 'ENOENT') return undefined;
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
