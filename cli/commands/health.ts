import { Command } from 'commander';
import { z } from 'zod';
import { ClaraError, showValue } from '../../base/errors';
import { DEFAULT_METRICS_ADDRESS } from '../../base/metrics-listener';
import { openTerminal } from '../terminal';
import { wholeNumber } from '../whole-number';

interface HealthOptions {
  readonly url: string;
  readonly timeout: string;
  readonly json?: boolean;
}

/** What our services answer: `base/metrics-listener.ts` and the annotation server's `/health/ready`. */
const ANSWER = z.object({ status: z.string(), detail: z.string().max(2000) });
const MAX_BYTES = 64 << 10;

export function healthCommand(): Command {
  return new Command('health')
    .description('Asks a service of this machine whether it works, as the health check of a container does.')
    .option(
      '--url <url>',
      "where it tells: of coordinator and site /health beside the figures (--metrics), of the annotation server /health/ready (default: the figures' own address)",
      `http://${DEFAULT_METRICS_ADDRESS}/health`,
    )
    .option('--timeout <seconds>', 'how long an answer is waited for', '5')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed health --url http://127.0.0.1:5000/health/ready --timeout 25\n\nEnds with 0 when the service works, and with 69 when it says that it does not, or does not answer in time.',
    )
    .action(ask);
}

async function ask(options: HealthOptions): Promise<void> {
  const terminal = openTerminal(options);
  const url = parseUrl(options.url);
  const seconds = wholeNumber('--timeout', options.timeout, 1, 300);
  const detail = await answerOf(url, seconds);
  terminal.record({ event: 'health', url, status: 'ok', detail });
  terminal.line(detail);
}

function parseUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  throw new ClaraError('invalid-input', `--url ${showValue(text)} must be like http://127.0.0.1:9464/health`);
}

/** @throws ClaraError `unavailable` unless the service says that it works */
async function answerOf(url: string, seconds: number): Promise<string> {
  const signal = AbortSignal.timeout(seconds * 1000);
  const { ok, status, text } = await fetch(url, { signal, redirect: 'error' })
    .then(async (reply) => ({ ok: reply.ok, status: reply.status, text: await boundedText(reply) }))
    .catch((thrown: unknown) => {
      const why = signal.aborted ? `nothing within ${seconds} s` : ClaraError.from(causeOf(thrown)).message;
      throw new ClaraError('unavailable', `${url} does not answer: ${why}`, { cause: thrown });
    });
  const answer = ANSWER.safeParse(parsed(text)).data;
  if (ok && answer?.status === 'ok') return answer.detail;
  throw new ClaraError(
    'unavailable',
    answer === undefined
      ? `${url} answers ${status}, and nothing that a service of clara-fed says; check the address`
      : `${url} answers ${status}: ${answer.detail}`,
  );
}

async function boundedText(reply: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of reply.body ?? []) {
    bytes += part.byteLength;
    if (bytes > MAX_BYTES) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch` says only that it failed; what the network said is its cause. */
function causeOf(thrown: unknown): unknown {
  return thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
}
