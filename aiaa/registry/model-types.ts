/** Kinds of models that clients sort their lists by; Slicer's auto-segmentation shows segmentation, others and pipeline. */
export const MODEL_TYPES = ['segmentation', 'annotation', 'classification', 'deepgrow', 'others', 'pipeline'] as const;

export type ModelType = (typeof MODEL_TYPES)[number];
