import { once } from 'node:events';
import { createServer } from 'node:net';
import { hasSystemCode } from '../../base/system-codes';

/** Below what Linux, macOS and Windows give to port 0 and to connections that go out (RFC 6335, 6: registered ports). */
const LOWEST = 10_000;
const HIGHEST = 32_000;

/**
 * A port that is free now, for servers that do not choose one themselves, or come back to the one that they had. No other
 * program is given it by chance while nobody listens there.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await once(probe.listen(port, '127.0.0.1'), 'listening');
  } catch (error) {
    if (hasSystemCode(error, 'EADDRINUSE')) return false;
    throw error;
  }
  probe.close();
  await once(probe, 'close');
  return true;
}
