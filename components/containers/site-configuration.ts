import { SITE_FOLDERS } from './site-programs';

/** What an agent is told: the keys of docs/site-configuration.md that the infrastructure knows. */
export interface AgentConfigurationOptions {
  readonly siteId: string;
  /** `host:port` of every coordinator. */
  readonly coordinators: readonly string[];
  /** As docs/site-configuration.md has it; see `TrainingTasks`. */
  readonly trainer: Readonly<Record<string, unknown>>;
  /** Folder below the training room that holds the Decathlon dataset; none when the trainer finds its data by itself. */
  readonly dataset?: string;
  /** Keys of the hospital's own choice (limits, policy, statistics), laid over the rest. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** The content of `site.yaml`. */
export function agentConfiguration(options: AgentConfigurationOptions): Readonly<Record<string, unknown>> {
  const { siteId, coordinators, trainer, dataset, settings = {} } = options;
  return {
    id: siteId,
    coordinator: coordinators,
    credentials: `${SITE_FOLDERS.agent}/credentials`,
    // In the room of training, where the trainer's tasks see the same folders under the same names.
    workspace: `${SITE_FOLDERS.training}/workspace`,
    dataset:
      dataset === undefined
        ? { kind: 'none' }
        : { kind: 'decathlon', path: `${SITE_FOLDERS.training}/datasets/${dataset}` },
    trainer,
    annotation: { workspace: SITE_FOLDERS.annotation },
    ...settings,
  };
}
