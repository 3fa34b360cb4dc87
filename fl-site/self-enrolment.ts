import { ClaraError, hasCode } from '../base/errors';
import type { Credentials } from '../federation/credentials';
import { enrol } from '../federation/enrol';
import { isAnswer } from '../federation/grpc-errors';
import { formatIdentity } from '../federation/identity';
import { type Invitation, parseInvitation } from '../federation/invitation';
import { backoffMillis, type Pacing } from './backoff';
import { type CredentialsFolder, endOfCertificate, ownCredentials } from './own-credentials';
import type { SiteEvent } from './site-events';

/** Where the site's people put an invitation. */
export interface InvitationSource {
  /** For people: a file, the name of a secret. */
  readonly place: string;
  /** @throws ClaraError `not-found` while there is none; no message has anything of the invitation */
  read(signal: AbortSignal): Promise<string>;
}

export interface SelfEnrolmentOptions {
  readonly site: CredentialsFolder;
  readonly source: InvitationSource;
  readonly pacing: Pacing;
  readonly onEvent: (event: SiteEvent) => void;
  /** @default the system's clock */
  readonly now?: () => Date;
}

/** Soon at first, while somebody is at work there; later as often as costs next to nothing. */
const POLLING = { firstMillis: 2000, maxMillis: 30_000 };
/** What the coordinator answers with one of these it will answer to this invitation for ever. */
const REFUSALS = ['unauthenticated', 'permission-denied', 'invalid-input', 'not-found'] as const;

/**
 * The credentials with which the site can work now.
 * @returns undefined when there are none, or their certificate has ended
 * @throws ClaraError as {@link ownCredentials}, for any other reason
 */
export async function usableCredentials(
  site: CredentialsFolder,
  now: () => Date = () => new Date(),
): Promise<Credentials | undefined> {
  const credentials = await presentCredentials(site);
  return credentials && endOfCertificate(credentials) > now() ? credentials : undefined;
}

/**
 * Waits until there is an invitation for the site, and enrols with it. An invitation that is damaged, of another site, expired
 * or refused is said once and then left alone: the wait goes on for another one. Whatever may pass by itself is tried again.
 * Credentials that somebody makes by hand meanwhile end the wait as well.
 *
 * @returns undefined when the signal aborted
 */
export async function selfEnrolment(
  options: SelfEnrolmentOptions,
  signal: AbortSignal,
): Promise<Credentials | undefined> {
  const { site, source, pacing, onEvent, now = () => new Date() } = options;
  const desk = new InvitationDesk({ ...options, now }, signal);
  const former = await presentCredentials(site);
  const why = former ? `the certificate ended on ${endOfCertificate(former).toISOString()}, ` : '';
  onEvent({ kind: 'enrolment-waits', message: `${why}waits for an invitation in ${source.place}` });
  while (!signal.aborted) {
    const credentials = (await usableCredentials(site, now)) ?? (await desk.look());
    if (credentials) {
      const identity = formatIdentity(credentials.identity);
      onEvent({ kind: 'enrolled', identity, ends: endOfCertificate(credentials).toISOString() });
      return credentials;
    }
    const millis = backoffMillis(desk.looks - 1, pacing.random, POLLING);
    await pacing.wait(millis, signal).catch(() => undefined);
  }
  return undefined;
}

/** Looks at what lies at the source, and remembers what it has said of it. */
class InvitationDesk {
  /** Since there was another text. */
  looks = 0;
  #text: string | undefined;
  #isRefused = false;
  /** Of this text. */
  readonly #told = new Set<string>();
  /** Why the last look found nothing out. */
  #unread = '';

  constructor(
    private readonly options: Required<SelfEnrolmentOptions>,
    private readonly signal: AbortSignal,
  ) {}

  /** @returns undefined when it came to nothing; never throws */
  async look(): Promise<Credentials | undefined> {
    this.looks += 1;
    const text = await this.#read();
    if (text === undefined || this.#isRefused) return undefined;
    const { site, source, now } = this.options;
    try {
      return await enrol(this.#checked(text), { folder: site.credentials, signal: this.signal, now });
    } catch (thrown) {
      const error = ClaraError.from(thrown);
      this.#isRefused ||= isAnswer(error) && hasCode(error, ...REFUSALS);
      const next = this.#isRefused ? 'cannot be used, put another one there' : 'is tried again';
      const message = `the invitation in ${source.place} ${next}: ${error.message}`;
      if (!this.#told.has(message)) this.#tell(message);
      this.#told.add(message);
      return undefined;
    }
  }

  async #read(): Promise<string | undefined> {
    try {
      const text = await this.options.source.read(this.signal);
      this.#unread = '';
      if (text !== this.#text) {
        this.#text = text;
        this.#isRefused = false;
        this.#told.clear();
        this.looks = 1;
      }
      return text;
    } catch (thrown) {
      const { code, message } = ClaraError.from(thrown);
      const why = code === 'not-found' ? '' : message;
      if (why !== '' && why !== this.#unread) this.#tell(why);
      this.#unread = why;
      return undefined;
    }
  }

  /** @throws ClaraError for what can be seen without asking anybody; the token of another site stays unspent */
  #checked(text: string): Invitation {
    const { site, now } = this.options;
    this.#isRefused = true;
    const invitation = parseInvitation(text);
    if (invitation.site !== site.id) {
      throw new ClaraError('invalid-input', `it is for site ${invitation.site}, and this is site ${site.id}`);
    }
    // `enrol` says when it expired, and asks nobody then.
    this.#isRefused = now() >= new Date(invitation.expires);
    return invitation;
  }

  #tell(message: string): void {
    if (!this.signal.aborted) this.options.onEvent({ kind: 'problem', message });
  }
}

async function presentCredentials(site: CredentialsFolder): Promise<Credentials | undefined> {
  return ownCredentials(site).catch((error: unknown) => {
    if (hasCode(error, 'not-found')) return undefined;
    throw error;
  });
}
