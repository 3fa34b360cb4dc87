import { X509Certificate } from 'node:crypto';
import { ClaraError } from '../base/errors';
import {
  certificatesIn,
  endOf,
  identityIn,
  makeCertificateRequest,
  makeKeyPair,
  privateKeyPem,
} from '../federation/certificates';
import { type Credentials, isKeyOf, saveCredentials } from '../federation/credentials';
import { sameIdentity } from '../federation/identity';
import { backoffMillis, type Pacing } from './backoff';
import type { CoordinatorClient } from './coordinator-client';

export interface RenewalOptions {
  readonly folder: string;
  readonly credentials: Credentials;
  readonly client: () => CoordinatorClient;
  readonly pacing: Pacing;
  readonly now?: () => number;
  /** New credentials are on disk; calls should use them from now on. */
  readonly onRenewed: (credentials: Credentials, ends: Date) => void;
  readonly onFailure: (error: ClaraError) => void;
  /**
   * Waits for others once the certificate has ended, with which nothing can be renewed; undefined when the signal aborted.
   * @default goes on asking
   */
  readonly enrolAnew?: ((signal: AbortSignal) => Promise<Credentials | undefined>) | undefined;
}

const RENEW_AFTER = 2 / 3;
const LONGEST_WAIT_MILLIS = 6 * 3600e3;
/** Between failed attempts: a third of a 30-day certificate's life is left for them. */
const RETRY = { firstMillis: 10_000, maxMillis: 3600e3 };

/**
 * Renews the site's certificate when two thirds of its life have passed, again and again, until the signal aborts. The new
 * key is made here and is on disk before it is used. A certificate that ends meanwhile, since nobody answered for so long, is
 * replaced by enrolment; what the agent is at goes on beside.
 */
export async function keepCertificateFresh(options: RenewalOptions, signal: AbortSignal): Promise<void> {
  const { pacing, now = Date.now } = options;
  let { credentials } = options;
  let failures = 0;
  const renewed = async (): Promise<Credentials> => {
    if (!options.enrolAnew || now() < endOf(leafOf(credentials.chainPem)).getTime()) {
      return renew(credentials, options, signal);
    }
    // Without any it was stopped while it waited.
    return (await options.enrolAnew(signal)) ?? credentials;
  };
  while (!signal.aborted) {
    const due = renewalTime(credentials.chainPem).getTime();
    if (now() < due) {
      await pacing.wait(Math.min(due - now(), LONGEST_WAIT_MILLIS), signal).catch(() => undefined);
      continue;
    }
    try {
      credentials = await renewed();
      if (signal.aborted) return;
      failures = 0;
      options.onRenewed(credentials, endOf(leafOf(credentials.chainPem)));
    } catch (thrown) {
      if (signal.aborted) return;
      options.onFailure(ClaraError.from(thrown, 'the certificate could not be renewed'));
      const left = endOf(leafOf(credentials.chainPem)).getTime() - now();
      const pause = backoffMillis(failures++, pacing.random, RETRY);
      await pacing.wait(left > 0 ? Math.min(pause, left) : pause, signal).catch(() => undefined);
    }
  }
}

/** When two thirds of a certificate's life have passed. */
export function renewalTime(chainPem: string): Date {
  const { validFrom, validTo } = new X509Certificate(leafOf(chainPem));
  const begin = Date.parse(validFrom);
  return new Date(begin + (Date.parse(validTo) - begin) * RENEW_AFTER);
}

async function renew(old: Credentials, { folder, client }: RenewalOptions, signal: AbortSignal): Promise<Credentials> {
  const keys = await makeKeyPair();
  const { chainPem, rootsPem } = await client().renew(await makeCertificateRequest(keys), signal);
  const renewed: Credentials = { ...old, keyPem: await privateKeyPem(keys), chainPem, rootsPem };
  const leaf = leafOf(chainPem);
  if (!isKeyOf(renewed.keyPem, leaf) || !sameIdentity(identityIn(leaf), old.identity)) {
    throw new ClaraError(
      'corrupt',
      "the coordinator's new certificate is not for this site and its key; the old one stays",
    );
  }
  await saveCredentials(folder, renewed);
  return renewed;
}

function leafOf(chainPem: string): Buffer {
  return certificatesIn(chainPem, 'the chain of certificates')[0];
}
