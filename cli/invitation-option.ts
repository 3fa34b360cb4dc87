import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { ClaraError } from '../base/errors';
import type { InvitationSource } from '../fl-site/self-enrolment';
import { readSecret, secretName } from './aws-secret';

/** What commander makes of the two options. */
export interface InvitationOptions {
  readonly invitation?: string;
  readonly invitationSecret?: string;
}

const OPTION = '--invitation-secret';

/** `--invitation` and `--invitation-secret`; each verb says what it does with the first. */
export function withInvitationOptions(command: Command, form: string, what: string): Command {
  return command
    .addOption(new Option(`--invitation ${form}`, what).conflicts('invitationSecret'))
    .option(`${OPTION} <arn>`, 'the same with a secret of AWS Secrets Manager');
}

/**
 * Where the invitation is.
 * @returns undefined when no option says so
 * @throws ClaraError `invalid-input` for an ARN that is not one of a secret
 */
export function invitationSource({ invitation, invitationSecret }: InvitationOptions): InvitationSource | undefined {
  if (invitationSecret !== undefined) {
    const place = `secret ${secretName(OPTION, invitationSecret)}`;
    return { place, read: (signal) => readSecret(OPTION, invitationSecret, signal) };
  }
  if (invitation === undefined) return undefined;
  if (!invitation.startsWith('@')) return { place: 'the option --invitation', read: async () => invitation };
  const file = invitation.slice(1);
  return { place: file, read: (signal) => readInvitation(file, signal) };
}

async function readInvitation(file: string, signal: AbortSignal): Promise<string> {
  const text = await readFile(file, { encoding: 'utf8', signal }).catch((error: unknown) => {
    throw ClaraError.from(error, `the invitation ${file} cannot be read`);
  });
  if (text.trim() !== '') return text;
  throw new ClaraError(
    'not-found',
    `the invitation ${file} is empty; write the line that "clara-fed sites invite" printed`,
  );
}
