import type { Openings } from './reach';

/**
 * Which doors are open in each stack, as the design has it: written by hand, never from the rules. Whatever is not here is closed.
 */

const COORDINATOR = [8443, 8444, 9443, 9444];
const HTTPS = [443];
const NFS = [2049];

/** Through NAT gateway or a hospital's own routes: HTTPS, and nothing else, to wherever it is. */
const OUT = { 'anybody on the internet': HTTPS, S3: HTTPS };
/** No way out; AWS alone, through endpoints. */
const ENDPOINTS = { 'AWS endpoints': HTTPS, S3: HTTPS };

interface Kind {
  /** The way to AWS's own services, and whatever comes with it. */
  readonly aws: Readonly<Record<string, readonly number[]>>;
  readonly coordinator: Readonly<Record<string, readonly number[]>>;
  readonly gpus: readonly string[];
}

/** What holds at every hospital. */
function site({ aws, coordinator, gpus }: Kind, ...more: readonly Openings[]): Openings {
  const task = { workspace: NFS, ...aws };
  const everywhere: Openings = {
    'tasks of agent': { ...task, ...coordinator },
    'one-shot tasks': { ...task, ...coordinator },
    'tasks of annotation': task,
    trainers: task,
    ...Object.fromEntries(gpus.map((family) => [`instances of gpu-${family}`, aws])),
    'load balancer': { 'tasks of annotation': [5000] },
  };
  const merged: Record<string, Record<string, readonly number[]>> = {};
  for (const openings of [everywhere, ...more]) {
    for (const [from, to] of Object.entries(openings)) merged[from] = { ...merged[from], ...to };
  }
  return merged;
}

const PRIVATE_LINK = { 'way to the coordinator': COORDINATOR };
/** Endpoints answer the network that they are in. */
const NEIGHBOURS: Openings = { 'other machine in the network': PRIVATE_LINK };
const WITH_ENDPOINTS: Openings = { 'other machine in the network': { ...PRIVATE_LINK, 'AWS endpoints': HTTPS } };
const CLIENTS: Openings = { 'listed clients': { 'load balancer': [80, 443] } };

/** A hospital that lists its whole network lists what runs in it, too. */
const HERSELF = { ...OUT, 'load balancer': HTTPS, 'listed clients': HTTPS };
/** What can be reached on port 443 of everywhere is reached there under every name. */
const NAMES = { 'listed clients': HTTPS, 'the coordinator': HTTPS };

export const EXPECTED: Readonly<Record<string, Openings>> = {
  'prod-charite': site({ aws: ENDPOINTS, coordinator: PRIVATE_LINK, gpus: ['g5', 'g6e'] }, WITH_ENDPOINTS, CLIENTS),
  'dev-charite': site({ aws: ENDPOINTS, coordinator: PRIVATE_LINK, gpus: ['g5'] }, WITH_ENDPOINTS, CLIENTS),
  'prod-st-marys': site({ aws: HERSELF, coordinator: PRIVATE_LINK, gpus: ['g6'] }, NEIGHBOURS, CLIENTS, {
    'other machine in the network': { 'load balancer': [80, 443] },
  }),
  // De-identified data in plain HTTP; the only clients are in the network.
  'dev-st-marys': site({ aws: OUT, coordinator: PRIVATE_LINK, gpus: ['g6'] }, NEIGHBOURS, {
    'other machine in the network': { 'load balancer': [80] },
  }),
  'prod-leeds': site(
    { aws: { ...OUT, ...NAMES }, coordinator: { 'the coordinator': [443, ...COORDINATOR] }, gpus: ['p3'] },
    CLIENTS,
    { bastion: { workspace: NFS, ...OUT, ...NAMES } },
  ),
  prod: {
    'tasks of coordinator-a': { ...OUT, 'listed operators': HTTPS, 'sites with a public link': HTTPS },
    'tasks of coordinator-b': { ...OUT, 'listed operators': HTTPS, 'sites with a public link': HTTPS },
    'load balancer': { 'tasks of coordinator-a': [8443, 8444], 'tasks of coordinator-b': [9443, 9444] },
    'listed operators': { 'load balancer': COORDINATOR },
    'sites with a public link': { 'load balancer': COORDINATOR },
  },
  // Everybody comes through the endpoint service.
  dev: {
    'tasks of coordinator-a': OUT,
    'tasks of coordinator-b': OUT,
    'load balancer': { 'tasks of coordinator-a': [8443, 8444], 'tasks of coordinator-b': [9443, 9444] },
  },
};
