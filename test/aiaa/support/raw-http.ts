import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** HTTP by hand over a socket: what the clients send byte for byte, and what comes back byte for byte. */
export interface RawReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Sends all of it, then reads until the server closes or the announced length is there, as http.client does. */
export async function exchange(port: number, request: Buffer): Promise<RawReply> {
  const socket = connect(port, '127.0.0.1');
  const received: Buffer[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  await once(socket, 'connect');
  await new Promise<void>((resolve, reject) => socket.write(request, (error) => (error ? reject(error) : resolve())));
  await Promise.race([once(socket, 'close'), complete(socket, received)]);
  socket.destroy();
  return parseReply(Buffer.concat(received));
}

function complete(socket: Socket, received: Buffer[]): Promise<void> {
  return new Promise((resolve) => {
    socket.on('data', () => {
      const all = Buffer.concat(received);
      const end = all.indexOf('\r\n\r\n');
      const length = end === -1 ? undefined : /content-length: *(\d+)/i.exec(all.toString('latin1', 0, end))?.[1];
      if (length !== undefined && all.length >= end + 4 + Number(length)) resolve();
    });
  });
}

export function parseReply(all: Buffer): RawReply {
  const end = all.indexOf('\r\n\r\n');
  const [statusLine, ...lines] = all.toString('latin1', 0, end).split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  return { status: Number(statusLine.split(' ')[1]), headers, body: all.subarray(end + 4) };
}

export interface Part {
  readonly name: string;
  readonly filename?: string;
  readonly type?: string;
  readonly content: Buffer | string;
}

export interface Dialect {
  readonly version: '1.0' | '1.1';
  readonly boundary: string;
  readonly quoted: boolean;
  /** What follows the closing delimiter. */
  readonly epilogue: string;
}

/** http.client with the client's own form encoder: a boundary that RFC 2046 does not allow unquoted, and an extra line break. */
export const PYTHON: Dialect = {
  version: '1.1',
  boundary: '----------lImIt_of_THE_fIle_eW_$',
  quoted: false,
  epilogue: '\r\n',
};
/** Poco, as the C++ client uses it. */
export const CPP: Dialect = { version: '1.0', boundary: 'MIME_boundary_6F1A2B3C', quoted: true, epilogue: '' };
/** A browser's FormData. */
export const OHIF: Dialect = {
  version: '1.1',
  boundary: '----WebKitFormBoundary7MA4YWxkTrZu0gW',
  quoted: false,
  epilogue: '',
};

export function formBody({ boundary, epilogue }: Dialect, parts: readonly Part[]): Buffer {
  const pieces = parts.flatMap(({ name, filename, type, content }) => [
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\n`,
    type === undefined ? '\r\n' : `Content-Type: ${type}\r\n\r\n`,
    content,
    '\r\n',
  ]);
  return Buffer.concat([...pieces, `--${boundary}--\r\n${epilogue}`].map((piece) => Buffer.from(piece)));
}

export function formRequest(dialect: Dialect, method: string, target: string, parts: readonly Part[]): Buffer {
  const body = formBody(dialect, parts);
  const boundary = dialect.quoted ? `"${dialect.boundary}"` : dialect.boundary;
  const lines = [
    `${method} ${target} HTTP/${dialect.version}`,
    'Host: 127.0.0.1:5000',
    'Accept-Encoding: identity',
    `content-type: multipart/form-data; boundary=${boundary}`,
    `content-length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
}

export function plainRequest(method: string, target: string, headers: readonly string[] = []): Buffer {
  return Buffer.from([`${method} ${target} HTTP/1.1`, 'Host: 127.0.0.1:5000', ...headers, '', ''].join('\r\n'));
}

export function jsonOf(reply: RawReply): unknown {
  return JSON.parse(reply.body.toString('utf8'));
}

/** The sentence of an error reply. */
export function sentenceOf(reply: RawReply): string {
  const { success, error } = jsonOf(reply) as { success: boolean; error: { type: string; message: string[] } };
  if (success !== false || typeof error.type !== 'string' || error.message.length !== 1)
    throw new Error('not an error reply');
  return error.message[0];
}

export interface ReplyParts {
  readonly params: string;
  readonly filename: string;
  readonly file: Buffer;
}

/** Takes a multipart reply apart with the rules of Python's cgi.FieldStorage: a part with a file name is a file, others are text. */
export function replyParts({ headers, body }: RawReply): ReplyParts {
  const boundary = /boundary=("?)([^";]+)\1/.exec(headers.get('content-type') ?? '')?.[2];
  if (boundary === undefined) throw new Error(`not multipart: ${headers.get('content-type')}`);
  const text = body.toString('latin1');
  const pieces = text.split(`--${boundary}`);
  if (pieces.length !== 4 || pieces[0] !== '' || pieces[3] !== '--\r\n') throw new Error('not two parts and an end');
  let params: string | undefined;
  let found: { filename: string; file: Buffer } | undefined;
  for (const piece of pieces.slice(1, 3)) {
    const end = piece.indexOf('\r\n\r\n');
    const head = piece.slice(0, end);
    const content = Buffer.from(piece.slice(end + 4, -2), 'latin1');
    const filename = /filename="([^"]+)"/.exec(head)?.[1];
    if (filename !== undefined) found = { filename, file: content };
    else if (/name="params"/.test(head)) params = content.toString('utf8');
  }
  if (params === undefined || found === undefined) throw new Error('params or file is missing');
  return { params, ...found };
}
