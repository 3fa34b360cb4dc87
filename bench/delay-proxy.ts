import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy that holds every byte for a while, each way, without limiting the rate: a long line, not a narrow one. */

interface Order {
  readonly target: number;
  readonly delayMillis: number;
}

function serve({ target, delayMillis }: Order): void {
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    forward(near, far, delayMillis);
    forward(far, near, delayMillis);
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

function forward(from: Socket, to: Socket, delayMillis: number): void {
  from.setNoDelay(true);
  from.on('data', (bytes) => setTimeout(() => to.write(bytes), delayMillis));
  from.on('end', () => setTimeout(() => to.end(), delayMillis));
  from.on('error', () => to.destroy());
}

process.once('message', (order) => serve(order as Order));
