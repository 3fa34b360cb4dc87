import pino, { type DestinationStream, type Level, type Logger, multistream } from 'pino';
import type { RecentLog } from './recent-log';

export interface ServerLogOptions {
  /** Where lines go beside the server's memory. @default nowhere */
  readonly destination?: DestinationStream;
  /** @default 'info' */
  readonly level?: Level;
  /** Paths below it name sessions and requests; the log says `<workspace>` instead. */
  readonly workspace: string;
}

/** The log of a server: one JSON object a line, without what names a patient, a file, a session or a secret prefix. */
export function serverLog(recent: RecentLog, { destination, level = 'info', workspace }: ServerLogOptions): Logger {
  const streams = [
    { level, stream: recent as DestinationStream },
    ...(destination ? [{ level, stream: destination }] : []),
  ];
  const hidden = new RegExp(`${escaped(workspace)}[^\\s"',;)]*`, 'g');
  const plain = (text: string) => text.replace(hidden, '<workspace>');
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: {
        err(error: Error) {
          const { type, message, stack, code } = pino.stdSerializers.err(error) as Record<string, unknown>;
          return { type, code, message: plain(String(message)), stack: plain(String(stack)) };
        },
        text: (text: unknown) => plain(String(text)),
      },
    },
    multistream(streams),
  );
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
