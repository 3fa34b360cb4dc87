import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { ClaraError } from '../base/errors';
import { lstat, mkdir, rm } from '../base/files';
import { ownPeakRssBytes } from '../base/own-memory';
import { isAsItIs } from '../federation/encodings/encoding';
import { type TaskDone, TaskDoneSchema } from '../federation/gen/federation/v1/federation_pb';
import { matchesAny } from '../federation/sent-tensors';
import type { SiteStatistics } from '../federation/statistics';
import { REPORT_FILE, type TrainerReport } from '../federation/trainer-contract';
import type { Approvals } from './approvals';
import type { SiteConfiguration } from './configuration';
import { encodeUpdate } from './encoded-update';
import { keepTensors, putLocalTensors } from './local-tensors';
import { prepareOutbound } from './outbound-update';
import { release } from './statistics/release';
import { type CheckedTask, checkTask } from './task-checks';
import { writeTaskFile } from './task-document';
import {
  CONTROLS_FILE,
  CONTROLS_OUTPUT_FILE,
  ENCODED_FILE,
  INPUT_FILE,
  LOCAL_FILE,
  MODELS_FOLDER,
  OUTBOUND_FILE,
  OUTPUT_FILE,
  OWN_INPUT_FILE,
  RESIDUAL_FILE,
  readReport,
} from './task-files';
import type { TaskJournal, TaskRecord } from './task-journal';
import { fetchModels, type ModelSources } from './task-models';
import { OutsideHours, type Trainer } from './trainers/trainer';
import { uploadUpdate } from './update-upload';
import type { WorkingHours } from './working-hours';

/** What doing a task takes. */
export interface Surroundings extends ModelSources {
  readonly site: SiteConfiguration;
  readonly journal: TaskJournal;
  readonly approvals: Approvals;
  readonly trainer: Trainer;
  readonly hours: WorkingHours;
  readonly onLog: (line: string) => void;
}

const INPUTS = [INPUT_FILE, OWN_INPUT_FILE, CONTROLS_FILE, MODELS_FOLDER];
const OUTPUTS = [
  REPORT_FILE,
  OUTPUT_FILE,
  CONTROLS_OUTPUT_FILE,
  OUTBOUND_FILE,
  ENCODED_FILE,
  RESIDUAL_FILE,
  LOCAL_FILE,
];
const ACTIVITY = {
  initialise: 'initialising',
  train: 'training',
  evaluate: 'evaluating',
  statistics: 'measuring',
} as const;

/**
 * Does one task, from wherever its record says that it stands, to the point where the coordinator holds all that it asked
 * for. What is done is on disk before the next step begins, so that a killed agent repeats no training.
 *
 * @throws ClaraError: the task has failed, and the message says why; OutsideHours: it goes on when the hours begin
 */
export async function executeTask(record: TaskRecord, around: Surroundings, signal: AbortSignal): Promise<TaskDone> {
  const { task } = record;
  const checked = checkTask(task, await around.approvals.planOf(task.run), around.site);
  const folder = around.workspace.taskFolder(task.run, task.id);
  const isNew = record.phase !== 'trained';
  if (isNew) {
    const isFresh = (await mkdir(folder, { recursive: true })) !== undefined;
    await fetchModels(record, checked, folder, around, signal);
    if (checked.local.length > 0) await putLocalTensors(task, folder, around.workspace, signal);
    await produce(record, checked, { folder, isFresh }, around, signal);
  }
  await around.workspace.returnState(task.run, task.track, folder);
  await sendUpdate(record, around, signal, isNew);
  // The result is told after this: an update that counts has always moved the residual, and the site's own tensors, on.
  if (!isAsItIs(checked.up)) await around.workspace.keepResidual(task.run, path.join(folder, RESIDUAL_FILE));
  if (checked.local.length > 0) {
    await around.workspace.keepLocalTensors(task.run, task.track, path.join(folder, LOCAL_FILE));
  }
  return doneOf(record);
}

interface TaskFolder {
  readonly folder: string;
  /** It was made just now: no earlier attempt has left anything in it. */
  readonly isFresh: boolean;
}

/** Has the trainer work, unless its output is already complete, and checks what it made. */
async function produce(
  record: TaskRecord,
  checked: CheckedTask,
  { folder, isFresh }: TaskFolder,
  around: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  const { task } = record;
  const { journal, workspace, site, onProgress } = around;
  const isDone = !isFresh && record.phase === 'training' && (await isComplete(folder, checked));
  // Before the task takes the state of its track: until the hours begin, another one may need it.
  if (!isDone) await around.hours.admit(around.trainer, { folder, signal, onLog: around.onLog });
  if (record.phase === 'accepted') {
    for (const name of isFresh ? [] : OUTPUTS) {
      await rm(path.join(folder, name), { recursive: true, force: true });
    }
    // Written down when the trainer starts: until then there is nothing to lose.
    record.phase = 'training';
  }
  const activity = ACTIVITY[checked.kind];
  onProgress({ activity, fraction: 0 });
  await workspace.takeState(task.run, task.track, folder, isFresh);
  if (!isDone) {
    await writeTaskFile(record, checked, folder, site);
    const working = around.hours.run(around.trainer, {
      folder,
      deadline: () => Date.parse(record.deadline),
      signal,
      diskBytes: site.limits.diskBytes,
      uncounted: INPUTS,
      onProgress: ({ progress, step, metrics }) => {
        // Even a fraction tells how many cases there are: what is told of images goes by the statistics policy only.
        if (checked.kind !== 'statistics') onProgress({ activity, fraction: progress, step, metrics });
      },
      onLog: around.onLog,
      onWaiting: (what) => {
        onProgress({ activity: 'waiting', fraction: 0 });
        around.onLog(what);
      },
      onStarted: (trainer) => journal.save(Object.assign(record, { trainer })),
      onPeakRss: (bytes) => {
        record.peakRssBytes = Math.max(record.peakRssBytes, bytes);
      },
    });
    await working.catch(async (thrown: unknown) => {
      // It was told to stop while it wrote the last of what it had made.
      if (!(thrown instanceof OutsideHours) || !(await isComplete(folder, checked))) throw thrown;
    });
  }
  onProgress({ activity, fraction: 1 });
  record.report = await readReport(folder);
  checkEvaluations(record.report, record, checked);
  if (checked.kind === 'statistics') {
    record.released = releaseReport(record.report, checked, site);
    // Nothing of the trainer's own goes beside it.
    const { protocol, evaluations } = record.report;
    record.report = { protocol, samples: record.released.cases ?? 0, steps: 0, metrics: {}, evaluations, warnings: [] };
  }
  if (checked.kind === 'initialise' || checked.kind === 'train') {
    const outbound = await prepareOutbound({
      update: path.join(folder, OUTPUT_FILE),
      ...(checked.kind === 'train' && { global: path.join(folder, INPUT_FILE) }),
      ...(checked.rule.kind === 'scaffold' && { controls: path.join(folder, CONTROLS_OUTPUT_FILE) }),
      outbound: path.join(folder, OUTBOUND_FILE),
      excluded: checked.excluded,
      local: checked.local,
      leftOut: checked.leftOut,
      maxBytes: site.limits.updateBytes,
      signal,
    });
    if (checked.kind === 'train' && checked.local.length > 0) {
      await keepTensors(path.join(folder, OUTPUT_FILE), checked.local, path.join(folder, LOCAL_FILE), signal);
    }
    const { file, size, sha256 } = isAsItIs(checked.up)
      ? outbound
      : await encodeUpdate({
          update: outbound.file,
          global: path.join(folder, INPUT_FILE),
          residual: workspace.residualFile(task.run),
          folder,
          encoding: checked.up,
          isKept: (name) => matchesAny(name, checked.excluded),
          seed: task.seed,
          signal,
        });
    record.outbound = { file: path.basename(file), size, sha256: sha256.toString('hex') };
  }
  record.phase = 'trained';
  // Without an update to send the result follows at once, and is written down then.
  if (record.outbound) await journal.save(record);
}

/** A trainer renames its report into place last, so a report (and an update, if asked for) means that it had finished. */
async function isComplete(folder: string, { kind, rule }: CheckedTask): Promise<boolean> {
  const wanted = kind === 'evaluate' || kind === 'statistics' ? [REPORT_FILE] : [REPORT_FILE, OUTPUT_FILE];
  if (rule.kind === 'scaffold') wanted.push(CONTROLS_OUTPUT_FILE);
  for (const name of wanted) {
    const found = await lstat(path.join(folder, name)).catch(() => undefined);
    if (!found?.isFile()) return false;
  }
  return readReport(folder).then(
    () => true,
    () => false,
  );
}

function checkEvaluations({ evaluations }: TrainerReport, { task }: TaskRecord, { kind }: CheckedTask): void {
  const asked = kind === 'evaluate' ? task.models.map(({ name }) => name) : [];
  const told = evaluations.map(({ model }) => model);
  const missing = asked.filter((name) => !told.includes(name));
  const unknown = told.filter((name) => !asked.includes(name));
  if (missing.length > 0 || unknown.length > 0) {
    throw new ClaraError(
      'trainer-failed',
      `the trainer's ${REPORT_FILE} must have one evaluation for each model of the task; missing: ${missing.join(', ') || 'none'}, unknown: ${unknown.join(', ') || 'none'}`,
    );
  }
}

function releaseReport({ statistics }: TrainerReport, checked: CheckedTask, site: SiteConfiguration): SiteStatistics {
  const places = checked.statistics!.bins + 2;
  if (!statistics || statistics.variables.some(({ counts }) => counts.length !== places)) {
    const message = `the trainer's ${REPORT_FILE} must have statistics in ${places - 2} bins; one that cannot count declines with exit code 64`;
    throw new ClaraError('trainer-failed', message);
  }
  return release(statistics, site.statistics);
}

/**
 * Has the coordinator hold the update of a trained task; costs one question when it has it already.
 * @param isNew nothing of it was sent so far
 */
export async function sendUpdate(
  { task, outbound }: TaskRecord,
  { workspace, client, pacing, onProgress }: Pick<Surroundings, 'workspace' | 'client' | 'pacing' | 'onProgress'>,
  signal: AbortSignal,
  isNew = false,
): Promise<void> {
  if (!outbound) return;
  const { file, size, sha256 } = outbound;
  await uploadUpdate({
    client: {
      upload: (...args) => client().upload(...args),
      uploadStatus: (...args) => client().uploadStatus(...args),
    },
    file: path.join(workspace.taskFolder(task.run, task.id), file),
    upload: { task: task.id, size, sha256: Buffer.from(sha256, 'hex') },
    isNew,
    signal,
    pacing,
    onBytes: (done) => onProgress({ activity: 'uploading', fraction: done / size }),
  });
}

function doneOf(record: TaskRecord): TaskDone {
  const { report, outbound } = record;
  if (!report) throw new ClaraError('internal', `task ${record.task.id} is trained but has no report`);
  return create(TaskDoneSchema, {
    samples: BigInt(report.samples),
    steps: BigInt(report.steps),
    metrics: report.metrics,
    evaluations: report.evaluations,
    warnings: report.warnings,
    statisticsJson: record.released ? JSON.stringify(record.released) : '',
    updateSha256: outbound ? Buffer.from(outbound.sha256, 'hex') : new Uint8Array(0),
    seconds: (Date.now() - Date.parse(record.receivedAt)) / 1000,
    peakRssBytes: BigInt(Math.round(record.peakRssBytes + ownPeakRssBytes())),
  });
}
