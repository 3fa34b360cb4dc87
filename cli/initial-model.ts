import { constants } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError, type Fault, showValue } from '../base/errors';
import { type OpenFile, open } from '../base/files';
import { fileChunks } from '../federation/file-chunks';
import { checkPlan, planDocument } from '../federation/plan';
import { sender } from '../federation/stream-flow';
import { Inspector } from '../federation/tensors/inspector';
import type { OperationsClient } from './operator';

/**
 * A plan may name the file of its initial model by path. The coordinator knows models by digest only, so the file is judged
 * and uploaded first, and the plan that is submitted names the digest.
 */
export interface PlanToSubmit {
  /** What the coordinator is sent. */
  readonly plan: string;
  readonly model?: ModelFile;
}

export interface ModelFile {
  readonly file: string;
  readonly size: number;
  readonly sha256: Buffer;
}

const PIECE_BYTES = 1 << 20;

/** A plan whose initial model is named by path; whatever else it holds. */
const withModelFile = z.looseObject({
  initialModel: z.looseObject({ from: z.literal('file'), path: z.string().min(1).max(4096) }),
});

/**
 * The plan with the digest in place of the path; a plan without a path stays as it is.
 * @param folder where a relative path starts
 * @throws ClaraError `not-found` without the file, `corrupt` or `invalid-input` when it is no model, `invalid-input` with
 *   every fault of the plan: nothing is uploaded for a plan that would be refused
 */
export async function planToSubmit(text: string, folder: string): Promise<PlanToSubmit> {
  const { document, model, faults } = await withModelDigest(planDocument(text), folder);
  if (!model) return { plan: text };
  checkPlan(document);
  if (faults.length > 0) throw ClaraError.ofFaults('the plan', faults);
  return { plan: JSON.stringify(document), model };
}

/**
 * As {@link planToSubmit}, for a document of which nothing is judged but the file.
 * @returns with a fault when the document names another digest beside the path
 */
export async function withModelDigest(
  written: unknown,
  folder: string,
): Promise<{ readonly document: unknown; readonly model?: ModelFile; readonly faults: readonly Fault[] }> {
  const parsed = withModelFile.safeParse(written);
  if (!parsed.success) return { document: written, faults: [] };
  const { path: name, ...initialModel } = parsed.data.initialModel;
  const model = await judgedModel(path.resolve(folder, name));
  const sha256 = model.sha256.toString('hex');
  const said = initialModel.sha256 ?? sha256;
  const document = { ...parsed.data, initialModel: { ...initialModel, sha256: said } };
  if (said === sha256 || said === `sha256:${sha256}`) return { document, model, faults: [] };
  const rule = `is not the digest of ${name}, which is ${sha256}; correct one of the two`;
  return { document, model, faults: [{ path: 'initialModel.sha256', value: showValue(said), rule }] };
}

/** Sends a model, unless the coordinator has it. @throws ClaraError with the coordinator's reason */
export async function uploadModel(client: OperationsClient, { file, size, sha256 }: ModelFile): Promise<void> {
  await withFile(file, async (handle) => {
    const { stream, reply } = client.uploadModel();
    const send = sender(stream);
    try {
      for await (const chunk of fileChunks(handle, { what: file, header: { size, sha256 } })) await send(chunk);
      stream.end();
    } catch (error) {
      // A coordinator that answers before everything was sent has the model, or says why it does not want it.
      if (!(error instanceof ClaraError) || error.code !== 'cancelled') {
        stream.cancel();
        throw error;
      }
    }
    await reply;
  });
}

async function judgedModel(file: string): Promise<ModelFile> {
  return withFile(file, async (handle) => {
    const { size } = await handle.stat();
    const inspector = new Inspector({ what: file, fileBytes: size });
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    for (let position = 0; position < size; ) {
      const { bytesRead } = await handle.read(piece, 0, piece.length, position);
      if (bytesRead === 0) break;
      inspector.push(piece.subarray(0, bytesRead));
      position += bytesRead;
    }
    const { digest } = inspector.finish();
    return { file, size, sha256: Buffer.from(digest.slice('sha256:'.length), 'hex') };
  });
}

async function withFile<T>(file: string, use: (handle: OpenFile) => Promise<T>): Promise<T> {
  // A pipe would wait for a writer for ever.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw ClaraError.from(error, `the initial model ${file} cannot be read`);
  });
  try {
    if (!(await handle.stat()).isFile()) throw new ClaraError('invalid-input', `${file} is not a regular file`);
    return await use(handle);
  } finally {
    await handle.close();
  }
}
