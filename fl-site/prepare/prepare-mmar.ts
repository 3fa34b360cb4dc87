import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { rm, stat } from '../../base/files';
import { openDecathlon } from '../../imaging/decathlon';
import { requireSpace } from './fetch-file';
import { type Helpers, localFile, nameOf, type Source } from './local-file';
import { editMmarEnvironment, writeMmarList } from './mmar-environment';
import { checkMmar, MMAR_FILES } from './mmar-folder';
import { isUnpacked, unpackMmar } from './unpack-mmar';

export interface MmarPreparation extends Source {
  /** Folder that an archive is unpacked to. @default `from` is the MMAR's folder, which is edited where it lies */
  readonly into?: string | undefined;
  /** `MMAR_CKPT_DIR` of its environment. @default as it says itself */
  readonly checkpoints?: string | undefined;
  /** `PROCESSING_TASK` of its environment. @default as it says itself, or segmentation */
  readonly task?: string | undefined;
}

/**
 * An MMAR, checked, whose environment names the site's dataset.
 * @param dataset folder of the dataset; without it the MMAR is only unpacked and checked
 */
export async function prepareMmar(mmar: MmarPreparation, dataset: string | undefined, helpers: Helpers): Promise<void> {
  const folder = path.resolve(mmar.into ?? mmar.from);
  if (mmar.into !== undefined) await bringMmar(mmar, folder, helpers);
  else await checkMmar(folder);
  if (dataset === undefined) return;
  const root = path.resolve(dataset);
  const { validation } = await openDecathlon(root);
  const listed = await writeMmarList(folder, path.join(root, 'dataset.json'));
  const edited = await editMmarEnvironment(folder, {
    DATA_ROOT: root,
    DATASET_JSON: path.join(folder, MMAR_FILES.dataset),
    MMAR_CKPT_DIR: mmar.checkpoints,
    PROCESSING_TASK: mmar.task,
  });
  const none = validation.length === 0 ? '; no case is held out, so its validation has no data: name --held-out' : '';
  helpers.onStep({
    step: 'mmar',
    state: listed || edited ? 'done' : 'nothing-to-do',
    detail: `environment.json of ${folder} names ${root}${none}`,
  });
}

async function bringMmar(mmar: MmarPreparation, folder: string, helpers: Helpers): Promise<void> {
  const { onStep, signal } = helpers;
  const { from, sha256 } = mmar;
  const scratch = `${folder}.prepare`;
  if (await isUnpacked(folder, mmar, helpers)) {
    await rm(scratch, { recursive: true, force: true });
    onStep({ step: 'unpack-mmar', state: 'nothing-to-do', detail: `${folder} is unpacked already` });
    return;
  }
  const { file: archive, pin } = await localFile(mmar, path.join(scratch, 'archive'), 'fetch-mmar', 2, helpers);
  const found = await stat(archive).catch((error: unknown) => Promise.reject(ClaraError.from(error)));
  if (!found.isFile()) {
    const message = `${from} is a folder and no archive; an MMAR that lies unpacked is edited where it is, without a folder to unpack it to`;
    throw new ClaraError('invalid-input', message);
  }
  onStep({ step: 'unpack-mmar', state: 'started', detail: `unpacks ${from}` });
  await requireSpace(scratch, found.size, `unpacking ${from}`);
  const note = { source: nameOf(mmar), ...(sha256 === undefined && { pin }) };
  await unpackMmar(archive, folder, { note, scratch, signal });
  await rm(scratch, { recursive: true, force: true });
  onStep({ step: 'unpack-mmar', state: 'done', detail: `${folder} is a whole MMAR` });
}
