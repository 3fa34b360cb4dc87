import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import type { CoordinatorMessage, SiteMessage } from '../../../../federation/gen/federation/v1/federation_pb';
import { SiteMessageSchema } from '../../../../federation/gen/federation/v1/federation_pb';
import type { SiteIdentity } from '../../../../federation/identity';
import { TASK_METADATA } from '../../../../federation/protocol';
import type { federationService } from '../../../../fl-coordinator/api/federation-service';

type Service = ReturnType<typeof federationService>;
type Outgoing = Exclude<MessageInitShape<typeof SiteMessageSchema>, SiteMessage>['message'];
type Incoming = CoordinatorMessage['message'];

const WAIT_MILLIS = 5000;

export function contextOf(site: string, task = '') {
  const caller: SiteIdentity = { kind: 'site', federation: 'test', id: site };
  const metadata = new Metadata();
  if (task) metadata.set(TASK_METADATA, task);
  return { caller, metadata, signal: new AbortController().signal, peer: 'test' };
}

/** The site's end of one `Connect` call, without a network. */
export class SiteLine {
  readonly heard: Incoming[] = [];
  /** Rejects with what the coordinator ends the call with; resolves when it ends well. */
  readonly ended: Promise<void>;
  readonly #outgoing: SiteMessage[] = [];
  /** Messages that the site has not read. */
  unread = 0;
  #isClosed = false;
  #wakeSite = (): void => {};
  #wakeCoordinator = (): void => {};

  constructor(service: Service, site: string) {
    const unread = () => this.unread;
    const call = {
      get writableLength() {
        return unread();
      },
      write: ({ message }: CoordinatorMessage) => {
        this.heard.push(message);
        this.#wakeSite();
        return true;
      },
      end: () => this.close(),
    };
    this.ended = service.connect(
      this.#messages(),
      contextOf(site),
      call as unknown as Parameters<Service['connect']>[2],
    );
    this.ended.catch(() => undefined);
  }

  say(message: Outgoing): void {
    this.#outgoing.push(create(SiteMessageSchema, { message }));
    this.#wakeCoordinator();
  }

  hello(protocol = 1): void {
    this.say({ case: 'hello', value: { protocol, software: 'test 1.0' } });
  }

  close(): void {
    this.#isClosed = true;
    this.#wakeCoordinator();
  }

  /** The next message of this kind, after `skip` earlier ones. */
  async hears<C extends NonNullable<Incoming['case']>>(kind: C, skip = 0): Promise<Extract<Incoming, { case: C }>> {
    const end = performance.now() + WAIT_MILLIS;
    for (;;) {
      const found = this.heard.filter((message) => message.case === kind)[skip];
      if (found) return found as Extract<Incoming, { case: C }>;
      const left = end - performance.now();
      if (left <= 0) throw new Error(`waited in vain for ${kind}; heard ${this.heard.map((each) => each.case).join()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wakeSite = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async *#messages(): AsyncGenerator<SiteMessage> {
    for (;;) {
      for (let next = this.#outgoing.shift(); next; next = this.#outgoing.shift()) yield next;
      if (this.#isClosed) return;
      await new Promise<void>((resolve) => {
        this.#wakeCoordinator = resolve;
      });
    }
  }
}
