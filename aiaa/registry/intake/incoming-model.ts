import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { type ArchivedFile, withArchive } from '../../../base/zip-archive';
import { modelTooLarge } from '../../errors';
import type { ModelEntry } from '../model-entry';

/** What somebody wants to be served, as files. */
export interface IncomingModel {
  readonly engine: ModelEntry['engine'];
  readonly file: string;
  /** Parsed as JSON, but not understood. */
  readonly config?: unknown;
}

export interface IncomingFiles {
  /** A config_aiaa.json; counts more than one in an archive. */
  readonly config?: string;
  /** model.onnx, model.safetensors, or a zip of an MMAR that has one of them. */
  readonly data: string;
  /** Where to unpack; the caller's to remove. */
  readonly folder: string;
  /** Largest file to unpack. */
  readonly maxBytes: number;
}

/** A configuration is a page of text. */
export const MAX_CONFIG_BYTES = 2 ** 20;

/**
 * Finds out, by their bytes and not by their names, what the files are.
 *
 * @throws ClaraError `invalid-input`, `unsupported`, `corrupt`, `resource-exhausted`
 */
export async function openIncoming({ config, data, folder, maxBytes }: IncomingFiles): Promise<IncomingModel> {
  const own = config === undefined ? undefined : await readConfig(config);
  const kind = await kindOf(data);
  if (kind === 'zip') return withArchive(data, (files) => fromArchive(files, own, folder, maxBytes));
  return { engine: kind === 'safetensors' ? 'reference' : 'onnx', file: data, config: own };
}

/** @throws ClaraError `invalid-input` when it is not JSON; `resource-exhausted` */
export async function readConfig(file: string): Promise<unknown> {
  if ((await stat(file)).size > MAX_CONFIG_BYTES) {
    throw modelTooLarge('config_aiaa.json', MAX_CONFIG_BYTES);
  }
  return parseConfig(await readFile(file, 'utf8'));
}

/** @throws ClaraError `invalid-input` */
export function parseConfig(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ClaraError('invalid-input', `config_aiaa.json is not JSON: ${(cause as Error).message}.`, { cause });
  }
}

type Kind = 'zip' | 'safetensors' | 'onnx';

async function kindOf(file: string): Promise<Kind> {
  const head = Buffer.alloc(9);
  const handle = await open(file, 'r');
  try {
    await handle.read(head, 0, head.length, 0);
  } finally {
    await handle.close();
  }
  if (head.toString('latin1', 0, 2) === 'PK') return 'zip';
  if (head[8] === 0x7b && head.readUInt32LE(4) === 0) return 'safetensors'; // length of the header, then its {
  if (head[0] === 0x08) return 'onnx'; // field 1 of ModelProto: ir_version
  throw new ClaraError(
    'unsupported',
    'data is none of the files that can be served: send model.onnx, model.safetensors of the reference trainer, or a zip of an MMAR with one of them.',
  );
}

async function fromArchive(
  files: readonly ArchivedFile[],
  own: unknown,
  folder: string,
  maxBytes: number,
): Promise<IncomingModel> {
  // A PyTorch file is a zip too, of pickles and code.
  if (files.some(({ name }) => /(^|\/)(data\.pkl|constants\.pkl)$/.test(name))) throw torchScript('data');
  const model = only(files, /(^|\/)(models\/)?model\.onnx$/) ?? only(files, /(^|\/)(models\/)?model\.safetensors$/);
  if (model === undefined) {
    if (files.some(({ name }) => /\.(ts|pt|pth)$/.test(name))) throw torchScript('The archive');
    throw new ClaraError(
      'unsupported',
      'The archive has no models/model.onnx and no models/model.safetensors; put one of them in.',
    );
  }
  const file = path.join(folder, 'unpacked-model');
  await unpackAtMost(model, file, maxBytes);
  const config = own ?? (await archivedConfig(files, folder));
  return { engine: model.name.endsWith('.onnx') ? 'onnx' : 'reference', file, config };
}

/** config/config_aiaa.json, or the only other JSON file of config/ that looks like one. */
async function archivedConfig(files: readonly ArchivedFile[], folder: string): Promise<unknown> {
  const named = only(files, /(^|\/)(config\/)?config_aiaa\.json$/);
  const candidates = named ? [named] : files.filter(({ name }) => /(^|\/)config\/[^/]+\.json$/.test(name)).slice(0, 32);
  for (const [at, candidate] of candidates.entries()) {
    const target = path.join(folder, `unpacked-config-${at}`);
    await unpackAtMost(candidate, target, MAX_CONFIG_BYTES);
    const parsed = await readConfig(target);
    if (named !== undefined || looksLikeOne(parsed)) return parsed;
  }
  return undefined;
}

async function unpackAtMost(file: ArchivedFile, target: string, maxBytes: number): Promise<void> {
  if (file.bytes > maxBytes) throw modelTooLarge(`${path.posix.basename(file.name)} in the archive`, maxBytes);
  await file.unpack(target);
}

function looksLikeOne(document: unknown): boolean {
  return typeof document === 'object' && document !== null && 'labels' in document && 'inference' in document;
}

/** The file that lies highest, where several have the name. */
function only(files: readonly ArchivedFile[], name: RegExp): ArchivedFile | undefined {
  const depth = (file: ArchivedFile) => file.name.split('/').length;
  return files.filter((file) => name.test(file.name)).sort((a, b) => depth(a) - depth(b))[0];
}

function torchScript(what: string): ClaraError {
  return new ClaraError(
    'unsupported',
    `${what} holds a PyTorch model (model.ts or model.pt), which is code and is not run by this server; export the network to ONNX, for example with torch.onnx.export(torch.jit.load("model.ts"), torch.zeros(1, 1, 96, 96, 96), "model.onnx", dynamo=False, dynamic_axes={"x": {2: "i", 3: "j", 4: "k"}}, input_names=["x"]), and send model.onnx with the same config_aiaa.json.`,
  );
}
