/**
 * Running statistics of batch normalisation, by the names that PyTorch (`running_mean`, `running_var`, `num_batches_tracked`) and
 * Keras (`moving_mean`, `moving_variance`) give them. They are no weights: they describe the data of a site.
 *
 * - average: floating-point ones are combined as weights are; counters are those of the first contributor, as integers always are.
 * - first: all are those of the first contributor in site order.
 * - keep-local: each site goes on with its own, which never leave it (FedBN, Li 2021, keeps the layer's weights local too: name
 *   those in `excludedTensors`); the global model keeps the initial ones.
 */
export const NORMALISATION_RULES = ['average', 'first', 'keep-local'] as const;

/** Whole last parts of names only: `running_mean_weight` is a weight. */
export const NORMALISATION_STATISTICS =
  /(^|[._/])(running_mean|running_var|num_batches_tracked|moving_mean|moving_variance)$/u;
