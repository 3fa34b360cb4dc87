import { hasCode } from '../../base/errors';
import { certificatesIn, endOf } from '../../federation/certificates';
import { type Credentials, loadCredentials, saveCredentials } from '../../federation/credentials';
import { keepRotating } from '../transport/certificate-rotation';
import { bootstrapOperator } from './enrolment';
import type { Trust } from './trust';

/** Credentials that end sooner than this are renewed at the start. */
const RENEWAL_MILLIS = 10 * 86400e3;
const FIRST_OPERATOR = 'admin';

/**
 * The first operator's credentials are made at the first start, follow the coordinators' addresses, and are renewed before
 * they end, as long as they lie in the workspace. @returns what stops the renewal
 */
export async function provideOperator(trust: Trust, folder: string, coordinator: string): Promise<() => void> {
  const issue = () => bootstrapOperator(trust, { name: FIRST_OPERATOR, role: 'admin', folder, coordinator });
  let credentials: Credentials;
  try {
    credentials = await loadCredentials(folder);
    if (credentials.coordinator !== coordinator) await saveCredentials(folder, { ...credentials, coordinator });
    const [own] = certificatesIn(credentials.chainPem, folder);
    if (endOf(own!).getTime() - trust.now().getTime() < RENEWAL_MILLIS) credentials = await issue();
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
    if (trust.register.hasOperators()) return () => {}; // The administrator has taken them elsewhere.
    credentials = await issue();
  }
  return keepRotating({
    first: { ends: endOf(certificatesIn(credentials.chainPem, folder)[0]!) },
    issue: async () => {
      await loadCredentials(folder); // Not there any more: the administrator uses them elsewhere, and renewing would end them.
      return { ends: endOf(certificatesIn((await issue()).chainPem, folder)[0]!) };
    },
    apply: () => {},
    now: trust.now,
  });
}
