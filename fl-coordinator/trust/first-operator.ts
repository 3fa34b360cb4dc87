import { ClaraError } from '../../base/errors';
import { certificatesIn, endOf, fingerprintOf } from '../../federation/certificates';
import type { Credentials } from '../../federation/credentials';
import { keepRotating } from '../transport/certificate-rotation';
import { bootstrapOperator } from './enrolment';
import type { OperatorHome } from './operator-home';
import type { Trust } from './trust';

/** Credentials that end sooner than this are renewed; the rotation comes by at two thirds of 30 days, perhaps a moment early. */
const RENEWAL_MILLIS = 10 * 86400e3 + 60e3;
const RETRY_MILLIS = 3600e3;
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
  const issue = () => {
    // A folder that is empty later was emptied by an administrator, so the first time must leave none behind.
    const savedFirst = !home.isShared && !trust.register.hasOperators();
    return bootstrapOperator(trust, { name: FIRST_OPERATOR, role: 'admin', home, coordinator, savedFirst });
  };
  /** @returns when they end; undefined when an administrator has taken them elsewhere, where renewing would end them */
  const provide = async (): Promise<Date | undefined> => {
    const present = await home.load();
    if (present === undefined) {
      if (!home.isShared && trust.register.hasOperators()) return undefined;
      return endOfCredentials(await issue());
    }
    const isDue = endOfCredentials(present).getTime() - trust.now().getTime() < RENEWAL_MILLIS;
    const isUnknown = home.isShared ? wasReplaced(trust, present) : !trust.register.hasOperators();
    if (isDue || isUnknown) return endOfCredentials(await issue());
    if (present.coordinator !== coordinator) await home.save({ ...present, coordinator });
    return endOfCredentials(present);
  };
  const rotating = (first: Date): (() => void) =>
    keepRotating({
      first: { ends: first },
      issue: async () => {
        const ends = await provide();
        if (ends === undefined) throw new ClaraError('not-found', `${home.place} has no credentials any more`);
        return { ends };
      },
      apply: () => {},
      ...(home.isShared && { onFailure }),
      retryMillis: RETRY_MILLIS,
      now: trust.now,
    });
  try {
    const ends = await provide();
    return ends === undefined ? () => {} : rotating(ends);
  } catch (error) {
    // Of the register, whose writes are fenced, nothing is forgiven.
    if (!home.isShared || isFirst || !hasFailedWith(error)) throw error;
    onFailure(error);
    // Two thirds of it are the time of a retry.
    return rotating(new Date(trust.now().getTime() + 1.5 * RETRY_MILLIS));
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

/** Somebody died between the register and the secret, or put an old value back. */
function wasReplaced({ register }: Trust, { identity, chainPem }: Credentials): boolean {
  const record = identity.kind === 'operator' ? register.operator(identity.name) : undefined;
  if (record?.state === 'revoked') return false;
  return !record?.admitted.has(fingerprintOf(certificatesIn(chainPem, 'its chain')[0]!));
}

function endOfCredentials({ chainPem }: Credentials): Date {
  return endOf(certificatesIn(chainPem, 'its chain')[0]!);
}
