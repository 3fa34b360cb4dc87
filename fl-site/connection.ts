import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ClaraError, hasCode } from '../base/errors';
import {
  type CoordinatorMessage,
  HeartbeatSchema,
  HelloSchema,
  type SiteMessage,
  type TaskProgress,
  type Welcome,
} from '../federation/gen/federation/v1/federation_pb';
import { type BackoffBounds, backoffMillis, type Pacing } from './backoff';
import type { ControlStream, CoordinatorClient } from './coordinator-client';

export interface ConnectionOptions {
  /** The coordinator as it can be reached now. */
  readonly client: () => CoordinatorClient;
  readonly hello: () => Promise<MessageInitShape<typeof HelloSchema>>;
  readonly onConnected: (welcome: Welcome) => void;
  readonly onDisconnected: (reason: ClaraError, retryMillis: number) => void;
  /** In the order of arrival, after `onConnected`. */
  readonly onMessage: (message: CoordinatorMessage['message']) => void;
  /** For the next heartbeat. */
  readonly progress: () => TaskProgress[];
  readonly pacing: Pacing;
  readonly backoff?: BackoffBounds;
  /** How long the welcome is waited for. @default 15 000 */
  readonly welcomeMillis?: number;
  /** Changed progress is told at once, but not more often than this. @default 250 */
  readonly promptMillis?: number | undefined;
}

const HEARTBEAT_BOUNDS = { min: 50, max: 60_000 } as const;
/** After so many heartbeats without an answer the coordinator is taken for gone, as it takes a silent site for gone. */
const SILENT_BEATS = 3;
const PROMPT_MILLIS = 250;
/** A connection that lasted this long was no failure; a shorter one is followed by a longer wait. */
const STABLE_MILLIS = 5000;
/** Waiting does not help much against a refusal, so the wait is the longest. Upper bound, in milliseconds. */
const REFUSED = { firstMillis: 20_000, maxMillis: 20_000 };

/**
 * The site's end of the conversation: dials, says hello, waits for the welcome, beats, and dials again whenever the
 * connection ends, until it is told to stop. It holds no state of tasks: whoever must be heard says it again after
 * `onConnected`. A coordinator that answers nothing is noticed by the welcome's time limit, and later because it does not say
 * that it heard the heartbeats: a broken connection is not always told by the operating system, least of all to a site that is
 * in the middle of an upload.
 */
export class Connection {
  #stream: ControlStream | undefined;
  #cycle: AbortController | undefined;
  #beat: NodeJS.Timeout | undefined;
  #prompt: NodeJS.Timeout | undefined;
  #lastBeat = 0;
  #heartbeatMillis = 0;
  /** When a message last came; none while the coordinator is too old to say that it hears. */
  #heardAt: number | undefined;

  constructor(private readonly options: ConnectionOptions) {}

  /** Stays connected until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { pacing, backoff } = this.options;
    let failures = 0;
    while (!signal.aborted) {
      const began = performance.now();
      const reason = await this.#converse(signal);
      if (signal.aborted) return;
      if (performance.now() - began > STABLE_MILLIS) failures = 0;
      const refused = hasCode(reason, 'permission-denied', 'unauthenticated', 'unsupported');
      const millis = refused
        ? backoffMillis(0, pacing.random, REFUSED)
        : backoffMillis(failures++, pacing.random, backoff);
      this.options.onDisconnected(reason, millis);
      await pacing.wait(millis, signal).catch(() => undefined);
    }
  }

  /** Sends a message if there is a connection; without one it is lost. */
  send(message: SiteMessage['message']): void {
    this.#stream?.send(message);
  }

  /** Tells the coordinator about progress soon. */
  progressChanged(): void {
    if (!this.#stream || this.#prompt) return;
    const since = performance.now() - this.#lastBeat;
    const { promptMillis = PROMPT_MILLIS } = this.options;
    const wait = Math.min(promptMillis, this.#heartbeatMillis) - since;
    this.#prompt = setTimeout(() => this.#sendHeartbeat(), Math.max(wait, 0));
  }

  /** Ends the present connection, to begin another with the client of now. */
  reconnect(): void {
    this.#cycle?.abort(new ClaraError('cancelled', 'the connection is made anew with a new certificate'));
  }

  /** One connection from hello to its end. @returns why it ended; never throws */
  async #converse(signal: AbortSignal): Promise<ClaraError> {
    const cycle = new AbortController();
    this.#cycle = cycle;
    const onStop = () => cycle.abort(signal.reason);
    signal.addEventListener('abort', onStop);
    const unwelcome = setTimeout(
      () => cycle.abort(new ClaraError('deadline-exceeded', 'the coordinator did not answer the hello in time')),
      this.options.welcomeMillis ?? 15_000,
    );
    try {
      const hello = create(HelloSchema, await this.options.hello());
      cycle.signal.throwIfAborted();
      const stream = this.options.client().connect(cycle.signal);
      stream.send({ case: 'hello', value: hello });
      for await (const { message } of stream.messages) {
        if (this.#heardAt !== undefined || message.case === 'heartbeatHeard') this.#heardAt = performance.now();
        if (message.case === 'heartbeatHeard') continue;
        if (this.#stream) this.options.onMessage(message);
        else {
          if (message.case !== 'welcome')
            throw new ClaraError('precondition-failed', 'the coordinator began without a welcome');
          clearTimeout(unwelcome);
          this.#begin(stream, message.value);
        }
      }
      return new ClaraError('unavailable', 'the coordinator ended the connection');
    } catch (thrown) {
      const { reason } = cycle.signal;
      return cycle.signal.aborted && reason instanceof ClaraError ? reason : ClaraError.from(thrown);
    } finally {
      clearTimeout(unwelcome);
      this.#end();
      signal.removeEventListener('abort', onStop);
      cycle.abort();
    }
  }

  #begin(stream: ControlStream, welcome: Welcome): void {
    const { min, max } = HEARTBEAT_BOUNDS;
    this.#heartbeatMillis = Math.min(Math.max(welcome.heartbeatMillis, min), max);
    this.#stream = stream;
    this.options.onConnected(welcome);
    this.#sendHeartbeat();
  }

  #end(): void {
    this.#stream = undefined;
    this.#heardAt = undefined;
    clearTimeout(this.#beat);
    clearTimeout(this.#prompt);
    this.#prompt = undefined;
  }

  #sendHeartbeat(): void {
    clearTimeout(this.#beat);
    clearTimeout(this.#prompt);
    this.#prompt = undefined;
    if (this.#isSilent()) {
      const seconds = (SILENT_BEATS * this.#heartbeatMillis) / 1000;
      this.#cycle?.abort(new ClaraError('unavailable', `the coordinator has not been heard for ${seconds} s`));
      return;
    }
    this.#lastBeat = performance.now();
    this.send({ case: 'heartbeat', value: create(HeartbeatSchema, { progress: this.options.progress() }) });
    this.#beat = setTimeout(() => this.#sendHeartbeat(), this.#heartbeatMillis);
  }

  /** Heartbeats wait behind the chunks of an upload, so chunks that go are a sign of life as well. */
  #isSilent(): boolean {
    if (this.#heardAt === undefined) return false;
    const last = Math.max(this.#heardAt, this.options.client().movedAt);
    return performance.now() - last > SILENT_BEATS * this.#heartbeatMillis;
  }
}
