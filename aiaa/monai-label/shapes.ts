import type { InferenceResult } from '../inference/worker-protocol';
import type { ModelObject } from '../registry/model-entry';
import { FINAL, STRATEGIES, uncertaintyBy } from './active-learning';
import type { StoredFile, StoredImage } from './datastore';

/** What MONAI Label's clients (3D Slicer, OHIF) read, in the shapes in which they read it. */

const BACKGROUND = 'background';

/** MONAI Label's clients sort models by these; what turns a volume into a mask by itself is `segmentation` to them. */
const TYPES: Readonly<Record<ModelObject['type'], string>> = {
  segmentation: 'segmentation',
  others: 'segmentation',
  pipeline: 'segmentation',
  annotation: 'annotation',
  classification: 'classification',
  deepgrow: 'deepgrow',
};

/** The answer of `GET /info/`. The first label is the background: OHIF drops the first one unseen. */
export function infoOf(
  models: readonly ModelObject[],
  images: readonly StoredImage[],
  trainable: readonly string[],
): object {
  const labels = new Set([BACKGROUND, ...models.flatMap((model) => model.labels)]);
  return {
    name: 'clara-federation',
    description: 'Models of the annotation server',
    version: '1',
    labels: [...labels],
    models: Object.fromEntries(models.map((model) => [model.name, modelInfo(model)])),
    trainers: Object.fromEntries(
      trainable.map((name) => [name, { description: `Fine-tunes ${name}`, config: { max_epochs: 1 } }]),
    ),
    strategies: Object.fromEntries(
      Object.entries(STRATEGIES).map(([name, { description, config }]) => [name, { description, config }]),
    ),
    scoring: {},
    train_stats: {},
    datastore: statusOf(images),
  };
}

function modelInfo(model: ModelObject): object {
  return {
    type: TYPES[model.type],
    labels: { [BACKGROUND]: 0, ...labelNamesOf(model) },
    dimension: 'deepgrow' in model && model.deepgrow === '2D' ? 2 : 3, // 2: MITK sends one slice, Slicer the clicks of one
    description: model.description,
    version: model.version,
    config: 'deepgrow' in model ? {} : { largest_cc: false }, // Slicer shows it as an option
  };
}

/** Which value of the mask stands for which label. */
function labelNamesOf({ labels }: ModelObject): Readonly<Record<string, number>> {
  return Object.fromEntries(labels.map((label, at) => [label, at + 1]));
}

/** What comes with a mask: OHIF reads `centroids`, [value, i, j, k] of each label that was found. */
export function inferParamsOf(result: InferenceResult, model: ModelObject): object {
  const centroids = Object.fromEntries(
    result.centroids.map(([value, ...voxel]) => [model.labels[value - 1] ?? `label ${value}`, [value, ...voxel]]),
  );
  return { label_names: labelNamesOf(model), centroids };
}

/** Counts, as `GET /datastore/` and `/info/` tell them. */
export function statusOf(images: readonly StoredImage[]): object {
  const tags: Record<string, number> = {};
  for (const { labels } of images) for (const tag of labels.keys()) tags[tag] = (tags[tag] ?? 0) + 1;
  const completed = images.filter(({ labels }) => labels.has(FINAL)).length;
  return { total: images.length, completed, label_tags: tags };
}

/** Everything, as `GET /datastore/?output=all` tells it. */
export function contentsOf(images: readonly StoredImage[]): object {
  const objects = images.map(({ image, labels, damaged }) => [
    image.id,
    {
      image: fileInfo(image),
      labels: Object.fromEntries([...labels].map(([tag, label]) => [tag, fileInfo(label)])),
      ...(damaged.length > 0 && { damaged }),
    },
  ]);
  return { name: 'datastore', description: 'Images of the annotation server', objects: Object.fromEntries(objects) };
}

/** Pairs that a model can be trained on, as `GET /datastore/?output=train` tells them: by id, since paths mean nothing elsewhere. */
export function pairsOf(images: readonly StoredImage[]): readonly object[] {
  return images.flatMap(({ image, labels }) =>
    labels.has(FINAL) ? [{ image: image.id, label: image.id, tag: FINAL }] : [],
  );
}

/** An image to be labelled, as active learning answers with it. The checksum is what Slicer checks its download by. */
export function sampleOf(stored: StoredImage, assessor?: string): object {
  const uncertainty = uncertaintyBy(assessor, stored);
  const { image } = stored;
  return { id: image.id, ...fileInfo(image).info, ...(uncertainty !== undefined && { uncertainty }) };
}

function fileInfo({ id, ext, ts, sha256, info }: StoredFile): { readonly ext: string; readonly info: object } {
  return { ext, info: { ...info, ts, checksum: sha256.replace(/^sha256/, 'SHA256'), name: `${id}${ext}` } };
}
