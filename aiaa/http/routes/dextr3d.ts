import { answering, isInteractive } from './segmentation';

/** `POST /v1/dextr3d`: `params` has `points`, six or more extreme points of the structure. */
export const segmentByPoints = answering({
  serves: (entry) => isInteractive(entry) && entry.type === 'annotation',
  sentence: 'extreme points are answered by models of type annotation',
});
