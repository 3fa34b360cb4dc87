import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { ClaraError } from '../../base/errors';
import {
  type CoordinatorMessage,
  CoordinatorMessageSchema,
  type SiteMessage,
} from '../../federation/gen/federation/v1/federation_pb';
import { backoffMillis, REAL_PACING } from '../../fl-site/backoff';
import { Connection, type ConnectionOptions } from '../../fl-site/connection';
import type { ControlStream, CoordinatorClient } from '../../fl-site/coordinator-client';
import { until } from './support/until';

/** The coordinator's end of one connection, in memory. */
class Peer implements ControlStream {
  readonly sent: SiteMessage['message'][] = [];
  readonly #waiting: (CoordinatorMessage | Error | undefined)[] = [];
  #wake = (): void => undefined;

  constructor(readonly signal: AbortSignal) {
    signal.addEventListener('abort', () => this.fail(new ClaraError('cancelled', 'given up')));
  }

  send(message: SiteMessage['message']): void {
    this.sent.push(message);
  }

  says(message: CoordinatorMessage['message']): void {
    this.#put(create(CoordinatorMessageSchema, { message }));
  }

  welcomes(heartbeatMillis = 60_000): void {
    const message = create(CoordinatorMessageSchema, {
      message: { case: 'welcome', value: { software: 'test', heartbeatMillis } },
    });
    this.#put(message);
  }

  fail(error: Error): void {
    this.#put(error);
  }

  ends(): void {
    this.#put(undefined);
  }

  get messages(): AsyncIterable<CoordinatorMessage> {
    return this.#read();
  }

  async *#read(): AsyncGenerator<CoordinatorMessage> {
    for (;;) {
      while (this.#waiting.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (next instanceof Error) throw next;
      yield next;
    }
  }

  #put(next: CoordinatorMessage | Error | undefined): void {
    this.#waiting.push(next);
    this.#wake();
  }
}

describe('the connection to a coordinator', () => {
  let peers: Peer[];
  let waits: number[];
  let reasons: ClaraError[];
  let messages: CoordinatorMessage['message'][];
  let stop: AbortController;
  let running: Promise<void>;

  beforeEach(() => {
    peers = [];
    waits = [];
    reasons = [];
    messages = [];
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await running;
  });

  let movedAt: () => number = () => 0;
  const dial = (more: Partial<ConnectionOptions> = {}) => {
    const client = {
      get movedAt() {
        return movedAt();
      },
      connect: (signal: AbortSignal) => {
        const peer = new Peer(signal);
        peers.push(peer);
        return peer;
      },
    } as Partial<CoordinatorClient> as CoordinatorClient;
    const connection = new Connection({
      client: () => client,
      hello: async () => ({ protocol: 1, trainer: 't' }),
      onConnected: () => undefined,
      onDisconnected: (reason) => reasons.push(reason),
      onMessage: (message) => messages.push(message),
      progress: () => [],
      pacing: { random: () => 0.5, wait: async (millis) => void waits.push(millis) },
      ...more,
    });
    running = connection.run(stop.signal);
    return connection;
  };

  it('says hello first, and nothing before the welcome', async () => {
    const connection = dial();
    connection.send({ case: 'taskResult', value: { task: 'too early' } as never });
    connection.progressChanged();
    await until(() => peers.length === 1 && peers[0].sent.length === 1);
    assert.equal(peers[0].sent[0].case, 'hello');
    peers[0].welcomes();
    await until(() => peers[0].sent.length === 2);
    assert.deepEqual(
      peers[0].sent.map((message) => message.case),
      ['hello', 'heartbeat'],
    );
  });

  it('is given up when no welcome comes, and dialled again', async () => {
    dial({ welcomeMillis: 30 });
    await until(() => peers.length === 2);
    assert.equal(peers[0].signal.aborted, true);
    assert.equal(reasons[0].code, 'deadline-exceeded');
  });

  it('is given up when the coordinator stops saying that it hears, and dialled again', async () => {
    dial();
    await until(() => peers.length === 1);
    peers[0].welcomes(50);
    peers[0].says({ case: 'heartbeatHeard', value: {} as never });
    await until(() => peers.length === 2);
    assert.equal(peers[0].signal.aborted, true);
    assert.equal(reasons[0].code, 'unavailable');
    assert.match(reasons[0].message, /has not been heard for 0\.15 s/);
    assert.deepEqual(messages, []);
  });

  it('goes on while the coordinator says that it hears, while chunks move, and with one too old to say so', async () => {
    const beats = (peer: Peer) => peer.sent.filter(({ case: kind }) => kind === 'heartbeat').length;
    const lasts = async (peer: Peer, onBeat: () => void) => {
      const before = beats(peer);
      for (let more = 0; more < 12; more++) {
        await until(() => beats(peer) > before + more);
        onBeat();
      }
    };
    const restore = clockWithoutPauses();
    try {
      dial();
      await until(() => peers.length === 1);
      peers[0].welcomes(50);
      await lasts(peers[0], () => undefined);
      await lasts(peers[0], () => peers[0].says({ case: 'heartbeatHeard', value: {} as never }));
      movedAt = () => performance.now();
      const before = beats(peers[0]);
      await until(() => beats(peers[0]) > before + 8);
    } finally {
      movedAt = () => 0;
      restore();
    }
    assert.equal(peers.length, 1);
    assert.deepEqual(reasons, []);
  });

  it('waits longer after each failure, and longest after a refusal', async () => {
    dial();
    for (const count of [1, 2, 3]) {
      await until(() => peers.length === count);
      peers[count - 1].fail(new ClaraError('unavailable', 'refused'));
    }
    await until(() => peers.length === 4);
    peers[3].fail(new ClaraError('permission-denied', 'revoked'));
    await until(() => waits.length === 4);
    assert.deepEqual(waits, [100, 200, 400, 10_000]);
    assert.equal(reasons[3].message, 'revoked');
  });

  it('beats as often as the welcome asks for', async () => {
    dial();
    await until(() => peers.length === 1);
    peers[0].welcomes(50);
    const beats = () => peers[0].sent.filter((message) => message.case === 'heartbeat').length;
    const began = performance.now();
    await until(() => beats() >= 5);
    assert.ok(performance.now() - began >= 180, 'five heartbeats came in less than four intervals');
  });

  it('tells changed progress soon, but not for each change', async () => {
    const connection = dial();
    await until(() => peers.length === 1);
    peers[0].welcomes(60_000);
    const beats = () => peers[0].sent.filter((message) => message.case === 'heartbeat').length;
    await until(() => beats() === 1);
    for (let i = 0; i < 1000; i++) connection.progressChanged();
    await until(() => beats() === 2);
    connection.progressChanged();
    assert.equal(beats(), 2);
  });

  it('hands messages on in their order', async () => {
    dial();
    await until(() => peers.length === 1);
    peers[0].welcomes();
    for (const task of ['1', '2', '3']) peers[0].says({ case: 'taskSettled', value: { task } as never });
    await until(() => messages.length === 3);
    assert.deepEqual(
      messages.map(({ value }) => (value as { task: string }).task),
      ['1', '2', '3'],
    );
  });

  it('refuses a coordinator that begins with something else', async () => {
    dial();
    await until(() => peers.length === 1);
    peers[0].says({ case: 'taskSettled', value: { task: '1' } as never });
    await until(() => reasons.length === 1);
    assert.match(reasons[0].message, /without a welcome/);
    assert.deepEqual(messages, []);
  });

  it('is made anew on request, and after a normal end', async () => {
    const connection = dial();
    await until(() => peers.length === 1);
    peers[0].welcomes();
    await until(() => peers[0].sent.length === 2);
    connection.reconnect();
    await until(() => peers.length === 2);
    peers[1].welcomes();
    peers[1].ends();
    await until(() => peers.length === 3);
    assert.match(reasons[1].message, /ended the connection/);
  });

  it('ends at once when it is told to, even while it waits', async () => {
    dial({ pacing: { ...REAL_PACING, random: () => 1 }, backoff: { firstMillis: 60_000, maxMillis: 60_000 } });
    await until(() => peers.length === 1);
    peers[0].fail(new ClaraError('unavailable', 'refused'));
    await until(() => reasons.length === 1);
    stop.abort();
    await running;
  });
});

/**
 * While this process gets no time, nobody in it can be heard: from now on that counts as an instant, in which three beats are
 * not over. Whoever waits with `until` asks for the time often enough. @returns what puts the clock back
 */
function clockWithoutPauses(): () => void {
  const real = performance.now.bind(performance);
  let asked = real();
  let told = asked;
  performance.now = () => {
    const now = real();
    told += Math.min(now - asked, 20);
    asked = now;
    return told;
  };
  return () => Reflect.deleteProperty(performance, 'now');
}

describe('back-off', () => {
  it('lies between nothing and a bound that doubles up to the maximum', () => {
    fc.assert(
      fc.property(fc.nat(2000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (failures, random) => {
        const millis = backoffMillis(failures, () => random, { firstMillis: 100, maxMillis: 5000 });
        const bound = failures >= 6 ? 5000 : 100 * 2 ** failures;
        assert.ok(millis >= 0 && millis <= bound);
        assert.equal(millis, random * Math.min(bound, 5000));
      }),
    );
  });
});
