import type { Helpers } from './local-file';
import { type DatasetPreparation, prepareDataset } from './prepare-dataset';
import { type MmarPreparation, prepareMmar } from './prepare-mmar';
import { type ModelPreparation, prepareMmarModel, prepareModel } from './prepare-model';

export interface Preparation {
  readonly dataset?: DatasetPreparation | undefined;
  /** Told where the dataset lies. */
  readonly mmar?: MmarPreparation | undefined;
  /** Served by the annotation server; without a source the one that the MMAR brings. */
  readonly model?: ModelPreparation | undefined;
}

/**
 * Prepares the workspace of a site, step by step. Each step leaves its result whole or not at all, so that a preparation that
 * was killed goes on where it was, and one that is done finds nothing to do.
 * @throws ClaraError `invalid-input` with every fault of a dataset's list or of an MMAR; `corrupt`; `already-exists` for a folder
 *   with something else; `out-of-space`; `unsupported` for a model that is not served
 */
export async function prepareSite({ dataset, mmar, model }: Preparation, helpers: Helpers): Promise<void> {
  if (dataset) await prepareDataset(dataset, helpers);
  if (mmar) await prepareMmar(mmar, dataset?.into, helpers);
  if (model?.source) await prepareModel(model, model.source, helpers);
  else if (model && mmar) await prepareMmarModel(model, mmar.into ?? mmar.from, helpers);
}
