import { z } from 'zod';
import { durationSchema } from '../federation/duration';
import { trainerNameSchema } from '../federation/plan';
import { TRAINER_FEATURES } from '../federation/trainer-contract';

/** The part `trainer` of a site's configuration: which program learns, and where it runs. */

const trainerBase = {
  /** What a plan must ask for to run here. */
  name: trainerNameSchema,
  /** Value of OMP_NUM_THREADS for the trainer. @default the agent's own, or the number of processors */
  threads: z.number().int().min(1).max(1024).optional(),
  /** More environment variables for the trainer, which otherwise sees none of the agent's. @default none */
  environment: z
    .record(
      z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable'),
      z.string().max(10_000),
    )
    .default({}),
};

/** What the trainer does beyond plain training; plans that need more are refused. @default nothing */
const supportsSchema = z.array(z.enum(TRAINER_FEATURES)).max(TRAINER_FEATURES.length).default([]);

const words = z.array(z.string().min(1).max(4096)).max(100);

const ARN = 'arn:[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:';
/** A name as ECS allows it, or an ARN. */
const ecsName = (what: string) =>
  z.string().regex(new RegExp(`^(?:[A-Za-z0-9_-]{1,255}|${ARN}[A-Za-z0-9_/:-]{1,255})$`), `must be ${what}`);

const containerPath = z.string().regex(/^\/.{0,4095}$/s, 'must be an absolute path in the container');

/** https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html */
const ecsSchema = z.strictObject({
  cluster: ecsName('the name or the ARN of an ECS cluster'),
  /** A family means its newest revision. */
  taskDefinition: z
    .string()
    .regex(
      new RegExp(`^(?:[A-Za-z0-9_-]{1,255}|${ARN}task-definition/[A-Za-z0-9_-]{1,255})(?::[0-9]{1,9})?$`),
      'must be a family, FAMILY:REVISION or the ARN of a task definition',
    ),
  /** The container of the task definition that is the trainer. */
  container: z.string().regex(/^[A-Za-z0-9_-]{1,255}$/, 'must be the name of a container'),
  /** Whose instances it runs on: a strategy, and not a launch type, is what makes a cluster scale from zero. */
  capacityProvider: z.string().regex(/^[A-Za-z0-9_-]{1,255}$/, 'must be the name of a capacity provider'),
  /** How long a task may wait for a machine, each time it is started. @default 30m */
  capacityTimeout: durationSchema.default(1800e3),
  /** Of task definitions with the network mode `awsvpc`. @default none */
  network: z
    .strictObject({
      subnets: z
        .array(z.string().regex(/^subnet-[0-9a-f]{4,40}$/, 'must be the ID of a subnet'))
        .min(1)
        .max(16),
      securityGroups: z
        .array(z.string().regex(/^sg-[0-9a-f]{4,40}$/, 'must be the ID of a security group'))
        .min(1)
        .max(5),
    })
    .optional(),
  /** Where the container has the site's `workspace`. @default the same path */
  workspace: containerPath.optional(),
  /** Where the container has `dataset.path`. @default the same path */
  dataset: containerPath.optional(),
  /** Of the task, for people and for policies. @default clara-fed */
  group: z
    .string()
    .regex(/^[A-Za-z0-9_:/.-]{1,255}$/, 'must be 1 to 255 letters, digits, "_", ":", "/", "." and "-"')
    .default('clara-fed'),
  /** Beside those that say site and run. @default none */
  tags: z
    .record(
      z.string().regex(/^(?!aws:)[\p{L}\p{N} _.:/=+@-]{1,128}$/u, 'must be the key of a tag'),
      z.string().regex(/^[\p{L}\p{N} _.:/=+@-]{0,256}$/u, 'must be the value of a tag'),
    )
    .refine((tags) => Object.keys(tags).length <= 40, 'must be 40 tags at most')
    .default({}),
  /** Where CloudWatch keeps what the container prints: progress and last words come from there. @default not read */
  logs: z
    .strictObject({
      /** `awslogs-group` of the task definition. */
      group: z.string().regex(/^[A-Za-z0-9_/.#-]{1,512}$/, 'must be the name of a log group'),
      /** `awslogs-stream-prefix` of the task definition. */
      streamPrefix: z.string().regex(/^[^:*]{1,255}$/, 'must be the prefix of log streams'),
    })
    .optional(),
  /** Taken for these calls alone, when the cluster is in another account. @default the agent's own rights */
  role: z
    .string()
    .regex(/^arn:[a-z0-9-]+:iam::[0-9]{12}:role\/[A-Za-z0-9+=,.@_/-]{1,512}$/, 'must be the ARN of a role')
    .optional(),
  /** @default as the AWS SDK finds it */
  region: z
    .string()
    .regex(/^[a-z]{2}(?:-[a-z]+)+-[0-9]$/, 'must be the name of a region')
    .optional(),
});

/** A variable of config_train.json: no "{X}", "@x" or "#x", which mean something to Clara. */
const mmarName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be the name of a variable of config_train.json');
const mmarWord = z.string().regex(/^[A-Za-z0-9_.+-]{1,100}$/, 'must be one word of letters, digits and "_.+-"');

/** An MMAR of NVIDIA Clara Train 4. */
const mmarSchema = z.strictObject({
  /** As the trainer has it; it is only read. */
  folder: z.string().regex(/^\/.{0,4095}$/s, 'must be an absolute path where the trainer runs'),
  /**
   * `module`: `python3 -m medl.apps.train` with arguments of this platform's; `script`: the MMAR's `commands/train.sh`, which gets
   * NAME=VALUE and must hand them on to `--set`. @default module
   */
  launch: z.enum(['module', 'script'], { error: 'must be module or script' }).default('module'),
  /** @default python3 */
  python: z.string().min(1).max(4096).default('python3'),
  /** Variables of config_train.json as this site wants them. @default none, and one epoch a round */
  set: z.record(mmarName, z.union([z.number(), z.boolean(), mmarWord])).default({}),
  /** Variables that plans may set in `trainer.parameters`, beside `epochs` and `learning_rate`. @default none */
  allow: z.array(mmarName).max(100).default([]),
});

export const trainerSchema = z.discriminatedUnion(
  'adapter',
  [
    z.strictObject({
      adapter: z.literal('process'),
      ...trainerBase,
      /** Program and arguments; the task folder is appended as the last argument. */
      command: words.min(1, 'must name a program'),
      supports: supportsSchema,
    }),
    z.strictObject({ adapter: z.literal('reference'), ...trainerBase }),
    z.strictObject({
      adapter: z.literal('ecs-task'),
      ...trainerBase,
      /** In place of the container's own command; the task folder is appended. @default the folder alone */
      command: words.default([]),
      supports: supportsSchema,
      ecs: ecsSchema,
    }),
    z.strictObject({
      adapter: z.literal('mmar'),
      ...trainerBase,
      mmar: mmarSchema,
      /** @default it runs on this machine */
      ecs: ecsSchema.optional(),
    }),
  ],
  { error: 'must be process, reference, ecs-task or mmar' },
);

export type TrainerConfiguration = Readonly<z.output<typeof trainerSchema>>;
export type EcsSettings = Readonly<z.output<typeof ecsSchema>>;
export type MmarSettings = Readonly<z.output<typeof mmarSchema>>;

/** Where the trainer runs, if in a container of ECS; undefined on this machine. */
export function ecsSettings(trainer: TrainerConfiguration): EcsSettings | undefined {
  return trainer.adapter === 'ecs-task' || trainer.adapter === 'mmar' ? trainer.ecs : undefined;
}
