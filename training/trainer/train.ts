import { setImmediate as nextTurn } from 'node:timers/promises';
import { ClaraError } from '../../base/errors';
import { deriveSeed, seededRandom } from '../../base/random';
import { digestOfFile } from '../../federation/tensors/file';
import { TRAINER_PROTOCOL, type TrainerReport, type TrainTask } from '../../federation/trainer-contract';
import { diceAndCrossEntropy } from '../engine/loss';
import { type Model, readModel, writeModel } from '../engine/model-file';
import { Adam, learningRate, type Optimiser, Sgd } from '../engine/optimiser';
import { UNet } from '../engine/unet';
import type { Weights } from '../engine/weights';
import { CaseStore } from './case-store';
import { CHECKPOINT_FILE, type FoundCheckpoint, findCheckpoint, saveCheckpoint, taskKey } from './checkpoint';
import { ControlVariates, stateForNextTask } from './control-variates';
import { FrozenTensors } from './frozen-tensors';
import type { Job } from './job';
import { assertParametersFit, labelValueOf } from './parameters';
import { cutTrainingPatch, drawCorner } from './patch-sampler';
import { addProximalGradients } from './proximal-term';
import { openDataset } from './task-folder';

/** Folder of prepared cases inside the state. */
const CASES_FOLDER = 'cases';

/**
 * Trains the global model for one round on the site's training cases. The update is a function of task, model and data
 * alone, however often the program was stopped or killed on the way: each step draws from its own seed, and a checkpoint
 * holds all that a step leaves behind.
 */
export async function train(job: Job<TrainTask>): Promise<TrainerReport> {
  const { task, parameters, folder, signal } = job;
  const dataset = await openDataset(task);
  if (dataset.training.length === 0) {
    throw new ClaraError('invalid-input', 'the dataset lists no training case; a site needs at least one to train');
  }
  const input = folder.file(task.model.input);
  const model = await readModel(input, signal);
  assertParametersFit(parameters, model.card);
  const store = new CaseStore(dataset, {
    spacing: model.card.spacing,
    window: model.card.window,
    labelValue: labelValueOf(parameters),
    cacheFolder: folder.state(CASES_FOLDER),
    signal,
  });
  const round = await RoundOfTraining.begin(job, model, store, taskKey(task, await digestOfFile(input)));
  await round.run();

  await round.writeControls();
  await writeModel(folder.file(task.model.output), { card: model.card, weights: round.net.weights });
  return {
    protocol: TRAINER_PROTOCOL,
    samples: store.size,
    steps: parameters.stepsPerRound,
    metrics: { loss: round.meanLoss },
    evaluations: [],
    warnings: [],
  };
}

class RoundOfTraining {
  readonly net: UNet;
  readonly #optimiser: Optimiser;
  readonly #targets: Float32Array;
  readonly #frozen: FrozenTensors | undefined;
  #step = 0;
  #lossSum = 0;

  private constructor(
    private readonly job: Job<TrainTask>,
    private readonly store: CaseStore,
    private readonly key: string,
    net: UNet,
    optimiser: Optimiser,
    /** The global model's. */
    private readonly start: Weights,
    private readonly controls: ControlVariates | undefined,
  ) {
    this.net = net;
    this.#optimiser = optimiser;
    this.#targets = new Float32Array(net.voxels);
    const { frozen } = job.task;
    this.#frozen = frozen && new FrozenTensors(net.spec, frozen, start);
  }

  /** Goes on where this task was interrupted, or begins with the moments that the last round left. */
  static async begin(
    job: Job<TrainTask>,
    { card, weights }: Model,
    store: CaseStore,
    key: string,
  ): Promise<RoundOfTraining> {
    const net = new UNet(card, 'learning');
    const found = await findCheckpoint(job.folder.state(CHECKPOINT_FILE), net.spec);
    const moments = found?.run === job.task.run ? found.moments : undefined;
    const optimiser = job.parameters.optimiser === 'sgd' ? new Sgd(net) : new Adam(net, moments);
    const interrupted = found?.key === key ? found : undefined;
    const controls = await openControls(job, net, found, interrupted !== undefined);
    const round = new RoundOfTraining(job, store, key, net, optimiser, weights, controls);
    net.weights.set(interrupted?.weights ?? weights);
    round.#step = interrupted?.step ?? 0;
    round.#lossSum = interrupted?.lossSum ?? 0;
    return round;
  }

  get meanLoss(): number {
    return this.#lossSum / this.#step;
  }

  /** @throws the signal's reason, after a checkpoint */
  async run(): Promise<void> {
    const { parameters, signal, onProgress } = this.job;
    let saved = this.#step;
    while (this.#step < parameters.stepsPerRound) {
      await nextTurn();
      if (signal.aborted) {
        if (this.#step > saved) await this.#save();
        signal.throwIfAborted();
      }
      const loss = await this.#takeStep();
      onProgress({ progress: this.#step / parameters.stepsPerRound, step: this.#step, metrics: { loss } });
      if (this.#step % parameters.checkpointSteps === 0 || this.#step === parameters.stepsPerRound) {
        await this.#save();
        saved = this.#step;
      }
    }
  }

  /** The site's new control variate, when the task asks for one. */
  async writeControls(): Promise<void> {
    const { task, folder, parameters } = this.job;
    if (task.rule?.kind !== 'scaffold') return;
    await this.controls?.write(folder.file(task.rule.controls.output), this.net.spec, parameters.stepsPerRound);
  }

  async #takeStep(): Promise<number> {
    const { task, parameters } = this.job;
    const { net, store } = this;
    const random = seededRandom(deriveSeed('training step', task.seed, task.site, task.round, this.#step));
    let loss = 0;
    for (let patch = 0; patch < parameters.batch; patch++) {
      const prepared = await store.get(random.integer(store.size));
      const corner = drawCorner(prepared, net.architecture.patch, parameters.foregroundShare, random);
      cutTrainingPatch(prepared, corner, net.architecture.patch, { input: net.input, targets: this.#targets });
      const logits = net.forward();
      loss += diceAndCrossEntropy(logits, this.#targets, 1 / parameters.batch, net.logitGradients) / parameters.batch;
      net.backward();
    }
    if (!Number.isFinite(loss)) {
      throw new ClaraError(
        'invalid-input',
        `learningRate ${parameters.learningRate} made the loss overflow in step ${this.#step + 1} of round ${task.round}; use a lower one`,
      );
    }
    if (task.rule?.kind === 'fedprox') {
      addProximalGradients(net.weightGradients, net.weights, this.start, task.rule.mu);
    }
    this.controls?.correct(net.weightGradients);
    this.#frozen?.clearGradients(net.weightGradients);
    this.#optimiser.step(this.#rate());
    this.#frozen?.restore(net.weights);
    this.#step++;
    this.#lossSum += loss;
    return loss;
  }

  #rate(): number {
    const { task, parameters } = this.job;
    const { stepsPerRound, learningRate: rate, warmUpSteps } = parameters;
    const before = Math.max(0, task.round - 1) * stepsPerRound;
    return learningRate(before + this.#step, { rate, warmUpSteps, totalSteps: task.rounds * stepsPerRound });
  }

  async #save(): Promise<void> {
    const { task, folder } = this.job;
    const checkpoint = {
      weights: this.net.weights,
      moments: this.#optimiser.moments(),
      controls: this.controls?.state,
      step: this.#step,
      totalSteps: this.job.parameters.stepsPerRound,
      lossSum: this.#lossSum,
    };
    await saveCheckpoint(folder.state(CHECKPOINT_FILE), this.net.spec, { key: this.key, run: task.run }, checkpoint);
  }
}

/** With the state of this task, interrupted, or with what the last one of the run left. */
async function openControls(
  { task, folder, signal }: Job<TrainTask>,
  { spec }: UNet,
  found: FoundCheckpoint | undefined,
  isInterrupted: boolean,
): Promise<ControlVariates | undefined> {
  if (task.rule?.kind !== 'scaffold') return undefined;
  const kept = found?.run === task.run ? found.controls : undefined;
  const state = isInterrupted || !kept ? kept : stateForNextTask(kept, found!.step, found!.step === found!.totalSteps);
  const { input } = task.rule.controls;
  return ControlVariates.open(spec, input && folder.file(input), state, signal);
}
