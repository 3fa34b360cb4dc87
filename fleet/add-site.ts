import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, isSeq, parseDocument, stringify } from 'yaml';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError, showValue } from '../base/errors';
import { keysOfOtherRoles } from '../stacks/all-keys';
import { SITE_ENTRY, type SiteEntryInput } from '../stacks/catalogue';
import { siteConfiguration } from '../stacks/configuration';
import { type CoordinatorConfiguration, coordinatorConfiguration } from '../stacks/coordinator-configuration';
import { siteStackFile, siteStackName } from '../stacks/site-stack-file';
import { configurationOf, readProject, readStackFile, stackFile, stackNames } from './project-files';

export interface SiteToAdd {
  /** Folder of Pulumi.yaml. */
  readonly root: string;
  readonly environment: string;
  readonly id: string;
  /** What goes into the catalogue; undefined for a site that is there, whose file is written anew. */
  readonly entry?: Omit<SiteEntryInput, 'id'>;
  /** Compares, and writes nothing. */
  readonly check?: boolean;
}

export interface AddedSite {
  readonly stack: string;
  readonly catalogue: 'added' | 'there';
  /** `waiting`: the site has no account yet, and a stack file needs one. */
  readonly file: 'written' | 'unchanged' | 'differs' | 'waiting';
}

/** What the CLI keeps in a stack's file for itself. */
const OF_THE_CLI = ['secretsprovider', 'encryptedkey', 'encryptionsalt'] as const;

/**
 * Puts a hospital into the catalogue of its environment, and writes its stack's file from there. Everything is judged before
 * anything is written: the whole catalogue, and the configuration that the site would have. Calling it again changes nothing.
 *
 * @throws ClaraError `already-exists` when the catalogue has another entry of this id
 * @throws DeploymentInputError with every fault of the catalogue or of the site
 */
export async function addSite({ root, environment, id, entry, check = false }: SiteToAdd): Promise<AddedSite> {
  const project = readProject(root).name;
  const catalogueFile = stackFile(root, environment);
  const { document, isNew } = await withEntry(catalogueFile, `${project}:sites`, environment, id, entry);
  const values = (document.toJS() as { readonly config: Readonly<Record<string, unknown>> }).config;
  const catalogue = coordinatorConfiguration(
    configurationOf(root, environment, values),
    environment,
    keysOfOtherRoles('coordinator'),
  );
  const stack = siteStackName(environment, id);
  const written = await stackFileText(root, stack, catalogue, id);
  if (check)
    return {
      stack,
      catalogue: isNew ? 'added' : 'there',
      file: written.state === 'written' ? 'differs' : written.state,
    };
  if (isNew) await writeFileDurably(catalogueFile, document.toString({ lineWidth: 0 }));
  if (written.state === 'written') await writeFileDurably(stackFile(root, stack), written.text);
  return { stack, catalogue: isNew ? 'added' : 'there', file: written.state };
}

/** The environment's file with the entry in it; its comments and the order of its keys stay. */
async function withEntry(
  file: string,
  key: string,
  environment: string,
  id: string,
  entry: SiteToAdd['entry'],
): Promise<{ readonly document: Document; readonly isNew: boolean }> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw ClaraError.from(error, `the catalogue of ${environment} cannot be read`);
  });
  const document = parseDocument(text, { uniqueKeys: true });
  if (document.errors.length > 0)
    throw new ClaraError('invalid-input', `${file} is no YAML: ${document.errors[0]!.message}`);
  const config = document.get('config');
  if (!isMap(config)) throw new ClaraError('invalid-input', `${file} has no map config, so it is no stack file`);
  if (!config.has(key)) config.set(key, document.createNode([]));
  const sites = config.get(key);
  if (!isSeq(sites)) throw new ClaraError('invalid-input', `${file}: ${key} must be a list of sites`);
  const there = (sites.toJS(document) as readonly SiteEntryInput[]).find((site) => site?.id === id);
  if (there === undefined && entry === undefined) {
    throw new ClaraError(
      'not-found',
      `${showValue(id)} is not in the catalogue of ${environment}; say its name, region and account`,
    );
  }
  if (there !== undefined) {
    if (entry !== undefined && !sameEntry(there, { id, ...entry })) {
      const wayOut = `change it in ${file} and call again without its particulars`;
      throw new ClaraError(
        'already-exists',
        `${id} is in the catalogue of ${environment} with other particulars; ${wayOut}`,
      );
    }
    return { document, isNew: false };
  }
  sites.flow = false;
  sites.add(document.createNode({ id, ...entry }));
  return { document, isNew: true };
}

/** Equal when defaults are written out, whether or not what is there is right. */
function sameEntry(there: SiteEntryInput, wanted: SiteEntryInput): boolean {
  const [a, b] = [SITE_ENTRY.safeParse(there), SITE_ENTRY.safeParse(wanted)];
  return a.success && b.success && isDeepStrictEqual(a.data, b.data);
}

type StackFileText = { readonly state: 'waiting' | 'unchanged' } | { readonly state: 'written'; readonly text: string };

async function stackFileText(
  root: string,
  stack: string,
  catalogue: CoordinatorConfiguration,
  id: string,
): Promise<StackFileText> {
  const site = catalogue.sites.find((entry) => entry.id === id)!;
  if (site.accountId === undefined) return { state: 'waiting' };
  const text = siteStackFile(catalogue, site);
  const values = (parseDocument(text).toJS() as { readonly config: Readonly<Record<string, unknown>> }).config;
  const wanted = configurationOf(root, stack, values);
  siteConfiguration(wanted, stack, keysOfOtherRoles('site'));
  if (!stackNames(root).includes(stack)) return { state: 'written', text };
  const inFile = Object.entries(readStackFile(root, stack));
  const secrets = inFile.filter(([, value]) => isSecret(value));
  const open = Object.fromEntries(inFile.filter(([, value]) => !isSecret(value)));
  const isSame = isDeepStrictEqual(Object.keys(open).sort(), Object.keys(values).sort());
  if (isSame && isDeepStrictEqual(configurationOf(root, stack, open), wanted)) return { state: 'unchanged' };
  return { state: 'written', text: await withKept(stackFile(root, stack), text, secrets) };
}

/** A new file keeps the encryption of the old one, and what was encrypted with it. */
async function withKept(file: string, text: string, secrets: readonly (readonly [string, unknown])[]): Promise<string> {
  const old = parseDocument(await readFile(file, 'utf8'));
  const document = parseDocument(text);
  for (const [key, value] of secrets) document.setIn(['config', key], value);
  const kept = Object.fromEntries(OF_THE_CLI.flatMap((key) => (old.has(key) ? [[key, old.get(key)]] : [])));
  return document.toString({ lineWidth: 0 }) + (Object.keys(kept).length > 0 ? stringify(kept, { lineWidth: 0 }) : '');
}

function isSecret(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).join() === 'secure';
}
