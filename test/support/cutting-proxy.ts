import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to the bytes of one direction, once. */
export interface Mishap {
  /** `up`: from the site to the coordinator. */
  readonly direction: 'up' | 'down';
  /** When so many bytes have passed in that direction from now on, over all connections. */
  readonly afterBytes: number;
  /** `cut` ends every connection; `corrupt` changes one byte; `stall` lets nothing pass on any open connection any more. */
  readonly kind: 'cut' | 'corrupt' | 'stall';
}

/** A TCP proxy in front of a coordinator, which can have accidents. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #mishap: (Mishap & { passed: number; readonly happened: () => void }) | undefined;

  private constructor(private readonly target: number) {
    this.#server = createServer((near) => this.#connect(near));
  }

  static async start(target: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Arranges an accident. @returns a promise that resolves when it has happened */
  arrange(mishap: Mishap): Promise<void> {
    return new Promise((resolve) => {
      this.#mishap = { ...mishap, passed: 0, happened: resolve };
    });
  }

  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connect(near: Socket): void {
    const far = connect(this.target, '127.0.0.1');
    this.#forward(near, far, 'up');
    this.#forward(far, near, 'down');
  }

  #forward(from: Socket, to: Socket, direction: Mishap['direction']): void {
    this.#open.add(from);
    from.on('data', (bytes: Buffer) => {
      const changed = this.#pass(direction, bytes);
      if (changed.length > 0 && !to.write(changed)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#open.delete(from);
      to.destroy();
    });
  }

  #pass(direction: Mishap['direction'], bytes: Buffer): Buffer {
    const mishap = this.#mishap;
    if (mishap?.direction !== direction) return bytes;
    mishap.passed += bytes.length;
    if (mishap.passed < mishap.afterBytes) return bytes;
    this.#mishap = undefined;
    mishap.happened();
    if (mishap.kind === 'cut') this.cut();
    if (mishap.kind === 'stall') for (const socket of this.#open) socket.removeAllListeners('data').pause();
    if (mishap.kind !== 'corrupt') return Buffer.alloc(0);
    const changed = Buffer.from(bytes);
    changed[Math.floor(changed.length / 2)]! ^= 0x20;
    return changed;
  }
}
