import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { type RandomSource, seededRandom } from '../../base/random';

export interface LongLineOptions {
  /** There and back. */
  readonly rttMillis: number;
  /** Share of the pieces, of 64 KiB at most, that stall, each for this long, and whatever comes behind them. */
  readonly stalls?: { readonly share: number; readonly millis: number; readonly seed: number };
  /** Where its connections to the target come from: the last number of an address of the loopback network, 127.0.0.x. @default the system's choice */
  readonly from?: () => number;
}

/** A TCP proxy that is as far away as it is told to be, and as unsteady. It keeps the order of bytes and loses none. */
export class LongLine {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  readonly #random: RandomSource;
  /** How many pieces passed, and how many of them stalled. */
  pieces = 0;
  stalled = 0;

  private constructor(
    private readonly target: number,
    private readonly options: LongLineOptions,
  ) {
    this.#random = seededRandom(options.stalls?.seed ?? 0);
    this.#server = createServer((near) => this.#connect(near));
  }

  static async start(target: number, options: LongLineOptions): Promise<LongLine> {
    const line = new LongLine(target, options);
    line.#server.listen(0, '127.0.0.1');
    await once(line.#server, 'listening');
    return line;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connect(near: Socket): void {
    const { from } = this.options;
    const far = connect({ port: this.target, host: '127.0.0.1', ...(from && { localAddress: `127.0.0.${from()}` }) });
    this.#forward(near, far);
    this.#forward(far, near);
  }

  #forward(from: Socket, to: Socket): void {
    const { rttMillis, stalls } = this.options;
    let due = 0;
    this.#open.add(from);
    from.setNoDelay(true);
    const waiting: (() => void)[] = [];
    /** Nothing overtakes what came before it: timers may change places, so each lets the oldest pass. */
    const later = (millis: number, pass: () => void): void => {
      due = Math.max(due, performance.now() + millis);
      waiting.push(pass);
      setTimeout(() => waiting.shift()!(), due - performance.now());
    };
    from.on('data', (bytes: Buffer) => {
      this.pieces++;
      const isStalled = stalls !== undefined && this.#random.uniform() < stalls.share;
      if (isStalled) this.stalled++;
      later(rttMillis / 2 + (isStalled ? stalls!.millis : 0), () => void to.write(bytes));
    });
    from.on('end', () => later(rttMillis / 2, () => void to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#open.delete(from);
      later(rttMillis / 2, () => void to.destroy());
    });
  }
}
