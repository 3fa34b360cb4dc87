/** What can be done with a stack. */
export const FLEET_VERBS = ['preview', 'up', 'refresh', 'destroy'] as const;
export type FleetVerb = (typeof FLEET_VERBS)[number];

/** Resources by what happened, or would happen, to them: `create`, `update`, `replace`, `delete`, `same`. */
export type StackChanges = Readonly<Record<string, number>>;

/** The engine that carries a verb out, as far as a fleet needs it. */
export interface StacksPort {
  /**
   * Does `verb` with one stack. An abort cancels it in order: what the engine is doing is finished, and its state is kept.
   * @returns undefined when there is nothing to refresh or destroy, because the stack was never made
   * @throws ClaraError with the engine's own words, or `cancelled`
   */
  run(verb: FleetVerb, stack: string, signal: AbortSignal): Promise<StackChanges | undefined>;
}
