/**
 * Everything bounded in this server, in one place. A load balancer in front should have an idle timeout of 600 s: an inference
 * ends before it, so that the sentence about it arrives, and an idle connection is kept longer, so that the balancer never
 * sends a request into a connection that is just being closed.
 */
export interface AnnotationLimits {
  /** Largest volume accepted in one upload, in bytes as sent. @default 1 GiB */
  readonly uploadBytes: number;
  /** Largest file of a model, in bytes, as sent and after decompression. @default 4 GiB */
  readonly modelBytes: number;
  /** Largest volume after decompression, in bytes. @default 2 GiB */
  readonly volumeBytes: number;
  /** Inference processes, and so segmentations at one time; each needs the memory of one. @default 1 */
  readonly slots: number;
  /** Segmentations that may wait behind the running ones. @default 8 */
  readonly queueLength: number;
  /** An inference process that holds more than this after a job is replaced, in bytes. @default 2 GiB */
  readonly workerBytes: number;
  /** An inference process is replaced after so many jobs, whatever it holds. @default 1000 */
  readonly workerJobs: number;
  /** An inference process must take jobs within this after it was started. @default 60 s */
  readonly workerStartMs: number;
  /** A running inference is stopped after this. @default 540 s */
  readonly inferenceMs: number;
  /** How long the inference process may take to give up a cancelled request before it is killed. @default 2 s */
  readonly cancelGraceMs: number;
  /** An upload must be complete within this. @default 30 minutes */
  readonly requestMs: number;
  /** How long the rest of a refused upload is read and thrown away, so that the client gets to read why. @default 120 s */
  readonly discardMs: number;
  /** Idle connections are kept for this. @default 610 s */
  readonly keepAliveMs: number;
  /** A reply of which the client takes nothing for this long is cut, so that its files can go. @default 120 s */
  readonly replyStallMs: number;
  /** Longest life of an unused session. @default 3600 s */
  readonly sessionSeconds: number;
  /** Sessions of a workspace at one time, and bytes of their volumes as sent. @default 256, 64 GiB */
  readonly sessions: number;
  readonly sessionBytes: number;
  /** Longest time for one fine-tuning. @default 24 h */
  readonly fineTuneMs: number;
  /** How long a trainer may take to end after SIGTERM. @default 30 s, as the trainer contract says */
  readonly trainerGraceMs: number;
  /** Images that the datastore keeps, and bytes of them and their labels. @default 1000, 256 GiB */
  readonly datastoreImages: number;
  readonly datastoreBytes: number;
  /** Who asks for the image of which a model is least sure waits so long for images that it has not seen yet. @default 10 s */
  readonly assessWaitMs: number;
  /** Expired sessions are looked for this often. @default 60 s */
  readonly sweepMs: number;
  /** A health check answers from the last result for this long. @default 10 s */
  readonly healthCacheMs: number;
  /** A health check's tiny inference must end within this; one of a model that was too slow for it, within 8 times as long. @default 20 s */
  readonly healthMs: number;
  /** At its end the server finishes what it has begun for so long; what is still running then is cut. @default 30 s */
  readonly drainMs: number;
  /** Lines of the log that `/logs/` can tell. @default 2000 */
  readonly logLines: number;
}

export const DEFAULT_LIMITS: AnnotationLimits = {
  uploadBytes: 2 ** 30,
  modelBytes: 4 * 2 ** 30,
  volumeBytes: 2 ** 31,
  slots: 1,
  queueLength: 8,
  workerBytes: 2 ** 31,
  workerJobs: 1000,
  workerStartMs: 60_000,
  inferenceMs: 540_000,
  cancelGraceMs: 2_000,
  requestMs: 1_800_000,
  discardMs: 120_000,
  keepAliveMs: 610_000,
  replyStallMs: 120_000,
  sessionSeconds: 3600,
  sessions: 256,
  sessionBytes: 64 * 2 ** 30,
  fineTuneMs: 86_400_000,
  trainerGraceMs: 30_000,
  datastoreImages: 1000,
  datastoreBytes: 256 * 2 ** 30,
  assessWaitMs: 10_000,
  sweepMs: 60_000,
  healthCacheMs: 10_000,
  healthMs: 20_000,
  drainMs: 30_000,
  logLines: 2000,
};
