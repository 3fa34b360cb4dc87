import { create } from '@bufbuild/protobuf';
import { type TaskProgress, TaskProgressSchema } from '../federation/gen/federation/v1/federation_pb';
import type { Metrics } from '../federation/trainer-contract';

/** What a task is at now, in the words of the protocol. */
export interface TaskActivity {
  readonly activity: 'waiting' | 'downloading' | 'initialising' | 'training' | 'evaluating' | 'measuring' | 'uploading';
  /** 0 to 1 of the activity. */
  readonly fraction: number;
  readonly step?: number | undefined;
  readonly metrics?: Metrics | undefined;
  /** What is waited for, for people here and at the coordinator. */
  readonly note?: string | undefined;
}

/** The newest activity of every open task. */
export class ProgressBoard {
  readonly #activities = new Map<string, TaskActivity>();

  set(task: string, activity: TaskActivity): void {
    this.#activities.set(task, activity);
  }

  delete(task: string): void {
    this.#activities.delete(task);
  }

  messages(): TaskProgress[] {
    return [...this.#activities].map(([task, { activity, fraction, step, metrics, note }]) =>
      create(TaskProgressSchema, {
        ...{ task, activity, fraction, step: BigInt(step ?? 0) },
        ...{ metrics: metrics ?? {}, note: note ?? '' },
      }),
    );
  }
}
