import { ClaraError } from '../../base/errors';
import { certificatesIn, endOf, fingerprintOf } from '../../federation/certificates';
import type { Credentials } from '../../federation/credentials';
import { keepRotating } from '../transport/certificate-rotation';
import { bootstrapOperator } from './enrolment';
import type { OperatorHome } from './operator-home';
import type { Trust } from './trust';

/** Credentials that end sooner than this are renewed at the start. */
const RENEWAL_MILLIS = 10 * 86400e3;
const FIRST_OPERATOR = 'admin';

export interface ProvidedOperator {
  readonly home: OperatorHome;
  /** `host:port` of the coordinators, remembered beside the credentials. */
  readonly coordinator: string;
  /** They could not be read or written now; it is tried again in an hour. */
  readonly onFailure: (thrown: unknown) => void;
}

/**
 * The first operator's credentials are made at the first start, follow the coordinators' addresses, and are renewed before
 * they end, as long as they lie in the coordinator's care. Once there is an operator, trouble with them is no reason not to lead.
 * @returns what stops the renewal
 */
export async function provideOperator(
  trust: Trust,
  { home: place, coordinator, onFailure }: ProvidedOperator,
): Promise<() => void> {
  const isFirst = !trust.register.hasOperators();
  const { home, hasFailedWith } = watched(place);
  const issue = () => bootstrapOperator(trust, { name: FIRST_OPERATOR, role: 'admin', home, coordinator });
  const renew = async (): Promise<Credentials> => {
    if (await isTakenAway(home)) throw new ClaraError('not-found', `${home.place} has no credentials any more`);
    return issue();
  };
  const rotating = (ends: Date): (() => void) =>
    keepRotating({
      first: { ends },
      issue: async () => ({ ends: endOfCredentials(await renew()) }),
      apply: () => {},
      ...(home.isShared && { onFailure }),
      now: trust.now,
    });
  try {
    const present = await home.load();
    if (present === undefined) {
      if (!home.isShared && !isFirst) return () => {}; // The administrator has taken them elsewhere.
      return rotating(endOfCredentials(await issue()));
    }
    const isDue = endOfCredentials(present).getTime() - trust.now().getTime() < RENEWAL_MILLIS;
    if (isDue || (home.isShared && wasReplaced(trust, present))) return rotating(endOfCredentials(await issue()));
    if (present.coordinator !== coordinator) await home.save({ ...present, coordinator });
    return rotating(endOfCredentials(present));
  } catch (error) {
    // Of the register, whose writes are fenced, nothing is forgiven.
    if (!home.isShared || isFirst || !hasFailedWith(error)) throw error;
    onFailure(error);
    return rotating(trust.now());
  }
}

/** Tells failures of the place from those of the register. */
function watched(place: OperatorHome) {
  const failures = new Set<unknown>();
  const noted = (error: unknown): never => {
    failures.add(error);
    throw error;
  };
  const home: OperatorHome = {
    ...place,
    load: () => place.load().catch(noted),
    save: (credentials) => place.save(credentials).catch(noted),
  };
  return { home, hasFailedWith: (error: unknown) => failures.has(error) };
}

/** Whoever took them uses them elsewhere, and renewing would end them. What is damaged is not written over. */
async function isTakenAway(home: OperatorHome): Promise<boolean> {
  return (await home.load()) === undefined && !home.isShared;
}

/** Somebody died between the register and the secret, or put an old value back. */
function wasReplaced({ register }: Trust, { identity, chainPem }: Credentials): boolean {
  const record = identity.kind === 'operator' ? register.operator(identity.name) : undefined;
  if (record?.state === 'revoked') return false;
  return !record?.admitted.has(fingerprintOf(certificatesIn(chainPem, 'its chain')[0]!));
}

function endOfCredentials({ chainPem }: Credentials): Date {
  return endOf(certificatesIn(chainPem, 'its chain')[0]!);
}
