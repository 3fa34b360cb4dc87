/**
 * Strategy = client rule x combiner x server optimiser. Users may write a name they know (`fedavg`), a name with
 * parameters (`{name: fedadam, lr: 0.1}`) or the three parts; parsing always gives the three parts.
 */

/**
 * What a site's trainer does differently in federated rounds; x is the global model that the round starts from.
 * - none: it trains as it does.
 * - fedprox: its loss has mu / 2 |w - x|^2 beside it, so every gradient has mu (w - x) added (Li 2020, algorithm 2).
 * - scaffold: every gradient has c - c_i added, the control variates of all sites and of this one: the mean gradient that each saw
 *   when it last trained (Karimireddy 2020, algorithm 1, option II).
 */
export type ClientRule = { readonly kind: 'none' | 'scaffold' } | { readonly kind: 'fedprox'; readonly mu: number };

/**
 * How the updates of a round become one.
 * - weighted-mean: weights are samples x operator weight (McMahan 2017, algorithm 1).
 * - normalised-mean: each update relative to the model is divided by the local steps behind it, and their mean is multiplied
 *   by the mean number of steps: x + (sum p_i tau_i) sum p_i (u_i - x) / tau_i, p_i as the weights above (FedNova, Wang 2020,
 *   equation 11, for local SGD; so many steps do not make a site's data count more).
 * - median, trimmed-mean: coordinate by coordinate; the latter is the mean without the `beta` smallest and as many largest
 *   values (Yin 2018, definitions 1 and 2).
 * - geometric-median: the point with the least sum of distances to the updates; distances below `smoothing` count as that
 *   (RFA, Pillutla 2019).
 * - krum: the one update that is closest to its neighbours, when `f` of them may be hostile; multikrum: the mean of the `m`
 *   best by the same score (Blanchard 2017).
 * - bulyan: all but 2 f, chosen by krum again and again, then coordinate by coordinate the mean of those all but 2 f of them
 *   that are closest to the median (El Mhamdi 2018).
 */
export type Combiner =
  | { readonly kind: 'weighted-mean' | 'normalised-mean' | 'median' }
  | { readonly kind: 'trimmed-mean'; readonly beta: number }
  | { readonly kind: 'geometric-median'; readonly smoothing: number }
  | { readonly kind: 'krum' | 'bulyan'; readonly f: number }
  | { readonly kind: 'multikrum'; readonly f: number; readonly m: number };

/**
 * How the combined update moves the global model; delta = combined - model.
 * - replace: model <- combined.
 * - momentum: v <- beta v + delta; model <- model + lr v (FedAvgM, Hsu 2019, section 3).
 * - adagrad, adam, yogi: m <- b1 m + (1-b1) delta; model <- model + lr m / (sqrt(v) + tau), where v starts at tau^2 and
 *   becomes v + delta^2, b2 v + (1-b2) delta^2, or v - (1-b2) delta^2 sign(v - delta^2)
 *   (FedAdagrad, FedAdam, FedYogi; Reddi 2021, algorithm 2; no bias correction).
 */
export type ServerOptimiser =
  | { readonly kind: 'replace' }
  | { readonly kind: 'momentum'; readonly lr: number; readonly beta: number }
  | { readonly kind: 'adagrad'; readonly lr: number; readonly beta1: number; readonly tau: number }
  | {
      readonly kind: 'adam' | 'yogi';
      readonly lr: number;
      readonly beta1: number;
      readonly beta2: number;
      readonly tau: number;
    };

export interface Strategy {
  /** The name that a person reads: a shorthand, or `custom`. */
  readonly name: string;
  readonly clientRule: ClientRule;
  /**
   * Before they are combined, updates further than this from the global model are drawn towards it until they are that far
   * away: Euclidean distance over all combined tensors. Absent: updates are combined as they are.
   */
  readonly clip?: number | undefined;
  readonly combiner: Combiner;
  readonly serverOptimiser: ServerOptimiser;
}
