import type { Weights } from '../engine/weights';

/**
 * FedProx (Li 2020): adds to the gradients that of mu / 2 |w - start|^2, which keeps a site's weights near the global model
 * that the round starts from. Computed in float64, rounded once.
 */
export function addProximalGradients(gradients: Float32Array, weights: Weights, start: Weights, mu: number): void {
  for (let i = 0; i < gradients.length; i++) gradients[i] += mu * (weights[i] - start[i]);
}
