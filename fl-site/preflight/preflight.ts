import type { ProgramStart } from '../../base/own-program';
import { type Credentials, loadCredentials } from '../../federation/credentials';
import type { SiteConfiguration } from '../configuration';
import { certificateCheck } from './credentials-checks';
import { hoursCheck } from './hours-check';
import { type Answered, askCoordinator, proxyCheck, reachCheck, tlsCheck } from './network-checks';
import { type ProbeName, probe } from './probe';
import { routeTo } from './route';
import { gpuCheck, trainerCheck } from './trainer-checks';
import { bounded, failedBy, type Outcome, ok, skipped, type Verdict } from './verdict';

export interface PreflightCheck extends Verdict {
  readonly name: string;
}

export interface PreflightOptions {
  /** The program behind `adapter: reference`; this room knows no training. */
  readonly referenceTrainer?: ProgramStart;
  /** The longest that one check may take. @default 15 s; the dataset 60 s, the trainer 120 s */
  readonly limits?: Partial<PreflightLimits>;
  /** Told of each check when it is over, in any order. */
  readonly onCheck?: (check: PreflightCheck) => void;
}

export interface PreflightLimits {
  readonly checkMillis: number;
  readonly datasetMillis: number;
  readonly trainerMillis: number;
}

const LIMITS: PreflightLimits = { checkMillis: 15_000, datasetMillis: 60_000, trainerMillis: 120_000 };

/** In the order in which people read them: outside in, then what is on this machine. */
export const PREFLIGHT_CHECKS = [
  'proxy',
  'name',
  'port',
  'credentials',
  'certificate',
  'tls',
  'admission',
  'clock',
  'workspace',
  'disk',
  'dataset',
  'trainer',
  'gpu',
  'hours',
] as const;
export type PreflightName = (typeof PREFLIGHT_CHECKS)[number];

/**
 * Looks at everything that a site needs before its first run, and says what to do about what is not right. Changes nothing, and
 * may run beside the site's agent. Each check has a time limit; none can keep the others, or the caller, waiting.
 */
export async function preflight(
  site: SiteConfiguration,
  options: PreflightOptions,
): Promise<readonly PreflightCheck[]> {
  const checks = new Map<string, PreflightCheck>();
  const tell = (name: PreflightName, verdict: Verdict): Verdict => {
    const check = { name, ...verdict };
    checks.set(name, check);
    options.onCheck?.(check);
    return verdict;
  };
  await Promise.all([network(site, options, tell), machine(site, options, tell)]);
  return PREFLIGHT_CHECKS.map((name) => checks.get(name)!);
}

type Tell = (name: PreflightName, verdict: Verdict) => Verdict;

async function network(site: SiteConfiguration, options: PreflightOptions, tell: Tell): Promise<void> {
  const { checkMillis } = { ...LIMITS, ...options.limits };
  const addresses = [site.coordinator].flat();
  const credentials = readCredentials(site, checkMillis, tell);
  const ways = addresses.map(async (coordinator) => {
    const found = new Map<PreflightName, Verdict>();
    await wayTo(coordinator, { site, credentials, checkMillis }, (name, verdict) => {
      found.set(name, verdict);
      // Of one coordinator each verdict is told as it comes.
      return addresses.length === 1 ? tell(name, verdict) : verdict;
    });
    return { coordinator, found };
  });
  const all = await Promise.all(ways);
  if (all.length > 1) for (const name of WAY_CHECKS) tell(name, together(name, all));
}

/** The checks that are made of the way to each coordinator. */
const WAY_CHECKS = ['proxy', 'name', 'port', 'tls', 'admission', 'clock'] as const satisfies readonly PreflightName[];
/** Only the coordinator that leads answers these. */
const ASKED_OF_LEADER: readonly PreflightName[] = ['admission', 'clock'];
const FROM_BEST: readonly Outcome[] = ['ok', 'warning', 'skipped', 'failed'];

/** One verdict for several coordinators: of the way the worst, since any of them may lead one day; of what the leader says the best. */
function together(
  name: PreflightName,
  ways: readonly { readonly coordinator: string; readonly found: ReadonlyMap<PreflightName, Verdict> }[],
): Verdict {
  const verdicts = ways.map(({ coordinator, found }) => ({ coordinator, ...found.get(name)! }));
  const ordered = [...verdicts].sort((a, b) => FROM_BEST.indexOf(a.outcome) - FROM_BEST.indexOf(b.outcome));
  const { outcome, mend } = ASKED_OF_LEADER.includes(name) ? ordered[0]! : ordered.at(-1)!;
  return { outcome, mend, found: verdicts.map(({ coordinator, found }) => `${coordinator}: ${found}`).join('; ') };
}

interface WayOptions {
  readonly site: SiteConfiguration;
  readonly credentials: Promise<Credentials | undefined>;
  readonly checkMillis: number;
}

async function wayTo(coordinator: string, { site, credentials, checkMillis }: WayOptions, tell: Tell): Promise<void> {
  const route = routeTo(coordinator);
  tell('proxy', proxyCheck(route));
  const name = route.proxy
    ? tell('name', skipped('the proxy looks the name up'))
    : tell('name', await bounded(checkMillis, NAME_LATE, (signal) => probe('name', { ...site, coordinator }, signal)));
  const reached =
    name.outcome === 'failed'
      ? tell('port', skipped('the name is not known'))
      : tell('port', await bounded(checkMillis, PORT_LATE, (signal) => reachCheck(coordinator, route, signal)));
  const own = await credentials;
  if (reached.outcome !== 'ok' || !own) {
    const why = own ? 'the port cannot be reached' : 'there are no credentials to show';
    for (const later of ['tls', 'admission', 'clock'] as const) tell(later, skipped(why));
    return;
  }
  const tls = await bounded(checkMillis, TLS_LATE, (signal) => tlsCheck(coordinator, route, own, signal));
  tell('tls', tls);
  if (tls.outcome !== 'ok') {
    for (const later of ['admission', 'clock'] as const) tell(later, skipped('there is no trusted connection'));
    return;
  }
  let answered: Answered | undefined;
  const admission = await bounded(checkMillis, TLS_LATE, async (signal) => {
    try {
      answered = await askCoordinator(coordinator, own, signal);
      return answered.admitted;
    } catch (thrown) {
      return failedBy(thrown, 'ask the operator: was the site revoked, or invited again; is the coordinator older');
    }
  });
  tell('admission', admission);
  tell('clock', answered?.clock ?? skipped('the coordinator did not say what time it is'));
}

const NAME_LATE = 'the name servers of this machine do not answer; check its network settings';
const PORT_LATE = 'ask the network team to allow this machine outbound TCP to the coordinator';
const TLS_LATE = 'something between accepts connections and passes nothing on; ask the network team about proxies';

async function readCredentials(site: SiteConfiguration, millis: number, tell: Tell): Promise<Credentials | undefined> {
  let own: Credentials | undefined;
  const verdict = await bounded(millis, `is ${site.credentials} on a network share that hangs`, async () => {
    try {
      own = await loadCredentials(site.credentials);
      return ok('the key fits the certificate and is readable by its owner only');
    } catch (thrown) {
      return failedBy(thrown, 'clara-fed site enrol makes them; they are used by one user only');
    }
  });
  tell('credentials', verdict);
  tell('certificate', own ? certificateCheck(own, site.id) : skipped('there are no credentials to look at'));
  return own;
}

async function machine(
  site: SiteConfiguration,
  { referenceTrainer, limits }: PreflightOptions,
  tell: Tell,
): Promise<void> {
  const { checkMillis, datasetMillis, trainerMillis } = { ...LIMITS, ...limits };
  tell('hours', hoursCheck(site.policy.hours, Date.now()));
  const share = (folder: string) => `is ${folder} on a disk or network share that hangs`;
  const look = async (name: ProbeName & PreflightName, millis: number, folder: string) =>
    tell(name, await bounded(millis, share(folder), (signal) => probe(name, site, signal)));
  const gpu = bounded(checkMillis, 'nvidia-smi hangs: restart the machine, or its driver', (signal) =>
    gpuCheck(signal),
  );
  await look('workspace', checkMillis, site.workspace);
  await look('disk', checkMillis, site.workspace);
  await look('dataset', datasetMillis, site.dataset.path);
  const late = 'the trainer does not come to an end; clara-fed trainer check says more';
  const check = (signal: AbortSignal) => trainerCheck(site, referenceTrainer, trainerMillis, signal);
  tell('trainer', await bounded(trainerMillis, late, check));
  tell('gpu', await gpu);
}
