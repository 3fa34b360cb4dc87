import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ClaraError } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { deriveSeed, seededRandom } from '../../base/random';
import {
  type EvaluateTask,
  REPORT_FILE,
  STATE_FOLDER,
  TASK_FILE,
  TRAINER_PROTOCOL,
  type TrainerReport,
  type TrainTask,
  trainerTaskSchema,
} from '../../federation/trainer-contract';
import { type SoftmaxParameters, softmaxParameters } from './parameters';
import { type SoftmaxData, softmaxData } from './site-data';
import { SoftmaxModel, weightCount } from './softmax-model';
import { readWeights, writeReplacing, writeWeights } from './weight-files';

/** What the data of all sites follow from. */
export interface SoftmaxProblem {
  readonly seed: number;
  readonly skew?: number | undefined;
}

const CONTROLS_STATE = 'control.f32';

/**
 * The built-in convex problem as a trainer: one site, whose data are made once. It takes the place of a process, so its files
 * are read and written as it trains: without giving way to others of the thread.
 */
export class SoftmaxSite {
  #data: { readonly key: string; readonly data: SoftmaxData } | undefined;

  constructor(
    private readonly problem: SoftmaxProblem,
    private readonly site: string,
  ) {}

  /** Does the task in a folder, as protocol 1 says, and leaves the report there. @throws ClaraError; the signal's reason */
  async doTask(folder: string, signal: AbortSignal): Promise<void> {
    const document: unknown = JSON.parse(readFileSync(path.join(folder, TASK_FILE), 'utf8'));
    const parsed = trainerTaskSchema.safeParse(document);
    if (!parsed.success) throw ClaraError.ofFaults(TASK_FILE, faultsOf(parsed.error, document));
    const task = parsed.data;
    const parameters = softmaxParameters(task.parameters);
    switch (task.kind) {
      case 'initialise':
        writeWeights(path.join(folder, task.model.output), parameters, new Float32Array(weightCount(parameters)));
        return report(folder, { samples: 0 });
      case 'train':
        return report(folder, await this.#train(folder, task, parameters, signal));
      case 'evaluate':
        return report(folder, this.#evaluate(folder, task, parameters));
      case 'statistics':
        throw new ClaraError('unsupported', 'the convex problem has no images to count');
    }
  }

  async #train(
    folder: string,
    task: TrainTask,
    parameters: SoftmaxParameters,
    signal: AbortSignal,
  ): Promise<Partial<TrainerReport>> {
    if (task.frozen) throw new ClaraError('unsupported', 'the convex problem freezes no tensors');
    const { training } = this.#dataFor(parameters);
    const { learningRate, regularisation, epochs } = parameters;
    const model = takeModel(parameters);
    const { weights, gradient } = model;
    readWeights(path.join(folder, task.model.input), model);
    const scaffold = task.rule?.kind === 'scaffold' ? openControls(folder, task.rule.controls, parameters) : undefined;
    const mu = task.rule?.kind === 'fedprox' ? task.rule.mu : 0;
    const start = mu > 0 ? weights.slice() : weights;
    const random = seededRandom(deriveSeed('softmax batches', task.seed, task.site, task.round));
    let steps = 0;
    let loss = 0;
    for (let epoch = 0; epoch < epochs; epoch++) {
      for (const batch of batchesOf(training.count, parameters.batch, random.integer)) {
        if (steps % STEPS_A_TURN === STEPS_A_TURN - 1) await nextTurn();
        signal.throwIfAborted();
        gradient.fill(0);
        loss += model.addGradient(training, batch);
        if (scaffold) {
          // The control is the gradient that was seen, before anything is added.
          for (let i = 0; i < weights.length; i++) gradient[i]! += regularisation * weights[i]!;
          scaffold.correct(gradient);
          for (let i = 0; i < weights.length; i++) weights[i]! -= learningRate * gradient[i]!;
        } else if (mu > 0) {
          for (let i = 0; i < weights.length; i++) {
            const pull = mu * (weights[i]! - start[i]!);
            weights[i]! -= learningRate * (gradient[i]! + regularisation * weights[i]! + pull);
          }
        } else model.descend(learningRate, regularisation);
        steps++;
      }
    }
    if (!Number.isFinite(loss)) {
      const message = `learningRate ${learningRate} made the loss overflow in round ${task.round}; use a lower one`;
      throw new ClaraError('invalid-input', message);
    }
    scaffold?.write(steps);
    writeWeights(path.join(folder, task.model.output), parameters, weights);
    giveBack(model);
    return { samples: training.count, steps, metrics: { loss: loss / steps } };
  }

  /** `objective` is what training makes smaller, on the training examples; the others are of the held-out ones. */
  #evaluate(folder: string, task: EvaluateTask, parameters: SoftmaxParameters): Partial<TrainerReport> {
    const { training, heldOut } = this.#dataFor(parameters);
    const evaluations: TrainerReport['evaluations'] = [];
    const model = takeModel(parameters);
    for (const { name, file } of task.models) {
      readWeights(path.join(folder, file), model);
      const { loss, accuracy } = model.measure(heldOut);
      const penalty = parameters.regularisation * model.halfSquaredNorm();
      const objective = model.measure(training).loss + penalty;
      evaluations.push({ model: name, metrics: { accuracy, loss, objective } });
    }
    giveBack(model);
    return { samples: heldOut.count, evaluations };
  }

  #dataFor(parameters: SoftmaxParameters): SoftmaxData {
    const { features, classes, samples } = parameters;
    const key = `${features} ${classes} ${samples}`;
    if (this.#data?.key !== key) {
      const { seed, skew } = this.problem;
      this.#data = { key, data: softmaxData(seed, this.site, skew, parameters) };
    }
    return this.#data.data;
  }
}

/** Of tasks that have ended: all sites of a thread train the same model, and fresh memory for each would cost more than they do. */
const spare: SoftmaxModel[] = [];
/** As many as are at work at a time. */
const MODELS_KEPT = 2;

function takeModel({ features, classes }: SoftmaxParameters): SoftmaxModel {
  const known = spare.pop();
  return known?.shape.features === features && known.shape.classes === classes
    ? known
    : new SoftmaxModel({ features, classes });
}

/** Nobody uses it any more. */
function giveBack(model: SoftmaxModel): void {
  if (spare.length < MODELS_KEPT) spare.push(model);
}

/** Steps of a small model are short: the thread's other sites wait for this many. */
const STEPS_A_TURN = 32;

function* batchesOf(count: number, size: number, draw: (bound: number) => number): Generator<number[]> {
  const order = Array.from({ length: count }, (_, index) => index);
  if (size === 0 || size >= count) {
    yield order;
    return;
  }
  // Fisher and Yates, in the form of Durstenfeld (1964).
  for (let last = count - 1; last > 0; last--) {
    const other = draw(last + 1);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  for (let begin = 0; begin < count; begin += size) yield order.slice(begin, begin + size);
}

interface Controls {
  /** Takes note of a step's gradient, then adds c - c_i to it. */
  correct(gradient: Float32Array): void;
  /** Writes the new c_i, for the coordinator and for this site's next round. */
  write(steps: number): void;
}

/** SCAFFOLD (Karimireddy 2020, algorithm 1, option II), as the trainer contract asks for it. */
function openControls(
  folder: string,
  { input, output }: { readonly input?: string | undefined; readonly output: string },
  parameters: SoftmaxParameters,
): Controls {
  const state = path.join(folder, STATE_FOLDER, CONTROLS_STATE);
  const size = weightCount(parameters);
  const correction = new Float32Array(size);
  if (input) readWeights(path.join(folder, input), { shape: parameters, weights: correction });
  const own = existsSync(state) ? readFileSync(state) : undefined;
  if (own) {
    const before = new Float32Array(own.buffer.slice(own.byteOffset, own.byteOffset + own.length));
    for (let i = 0; i < size; i++) correction[i]! -= before[i]!;
  }
  const sum = new Float64Array(size);
  return {
    correct: (gradient) => {
      for (let i = 0; i < size; i++) {
        sum[i]! += gradient[i]!;
        gradient[i]! += correction[i]!;
      }
    },
    write: (steps) => {
      const mean = Float32Array.from(sum, (value) => value / steps);
      writeWeights(path.join(folder, output), parameters, mean);
      mkdirSync(path.dirname(state), { recursive: true });
      writeFileSync(state, Buffer.from(mean.buffer));
    },
  };
}

function report(folder: string, told: Partial<TrainerReport>): void {
  const nothing = { samples: 0, steps: 0, metrics: {}, evaluations: [], warnings: [] };
  const contents = JSON.stringify({ protocol: TRAINER_PROTOCOL, ...nothing, ...told });
  writeReplacing(path.join(folder, REPORT_FILE), [Buffer.from(contents)]);
}
