import { answering, isInteractive } from './segmentation';

/** `POST /v1/deepgrow`: `params` has the clicks `foreground` and `background`, and `current_point`, the last of them. */
export const segmentByClicks = answering({
  serves: (entry) => isInteractive(entry) && entry.type === 'deepgrow',
  sentence: 'clicks are answered by models of type deepgrow',
});
