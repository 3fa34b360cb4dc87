import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { ClaraError } from '../../base/errors';
import type { Address } from '../../federation/address';
import type { HttpProxy, Route } from './route';

/**
 * A TCP connection to the coordinator's port by the way that the agent would take. Aborting the signal ends it.
 * @throws Node's network error, or ClaraError `unavailable` when a proxy refuses to connect further (RFC 9110, 9.3.6)
 */
export function dial(target: Address, { proxy }: Route, signal: AbortSignal): Promise<Socket> {
  return proxy ? through(proxy, target, signal) : straight(target, signal);
}

function straight({ host, port }: Address, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
    endWith(socket, signal);
  });
}

function through({ host, port, login }: HttpProxy, target: Address, signal: AbortSignal): Promise<Socket> {
  const name = target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
  const headers: Record<string, string> = { Host: name };
  if (login) headers['Proxy-Authorization'] = `Basic ${Buffer.from(login).toString('base64')}`;
  return new Promise((resolve, reject) => {
    const asking = request({ host, port, method: 'CONNECT', path: name, headers, signal });
    asking.once('error', reject);
    asking.once('connect', ({ statusCode }, socket) => {
      endWith(socket as Socket, signal);
      if (statusCode === 200) resolve(socket as Socket);
      else {
        socket.destroy();
        reject(new ClaraError('unavailable', `the proxy ${host}:${port} answered ${statusCode} to CONNECT ${name}`));
      }
    });
    asking.end();
  });
}

function endWith(socket: Socket, signal: AbortSignal): void {
  const end = () => socket.destroy(new ClaraError('deadline-exceeded', 'the time of the check is over'));
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  socket.once('close', () => signal.removeEventListener('abort', end));
}
