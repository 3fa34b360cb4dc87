import { execFile } from 'node:child_process';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError } from '../../base/errors';
import { ownProgram } from '../../base/own-program';
import type { SiteConfiguration } from '../configuration';
import type { Verdict } from './verdict';

/**
 * Checks that ask the operating system something that it may never answer: a name server that is gone, a network share that
 * hangs. Such a call holds a thread of its process for good, and a process cannot end while one does; so each of these checks
 * is a process of its own, which can be killed.
 */
export const PROBES = ['name', 'workspace', 'disk', 'dataset'] as const;
export type ProbeName = (typeof PROBES)[number];

/** What a probe is told, as JSON in its only argument. */
export type ProbeOrder = Pick<SiteConfiguration, 'coordinator' | 'workspace' | 'dataset' | 'limits'> & {
  readonly probe: ProbeName;
};

const verdictSchema = z.object({
  outcome: z.enum(['ok', 'warning', 'failed', 'skipped']),
  found: z.string(),
  mend: z.string(),
});

const MAX_OUTPUT = 64 * 1024;

/** @throws ClaraError `internal` when the probe ends without a verdict; the reason of an aborted signal is the caller's */
export function probe(name: ProbeName, site: SiteConfiguration, signal: AbortSignal): Promise<Verdict> {
  const { coordinator, workspace, dataset, limits } = site;
  const order: ProbeOrder = { probe: name, coordinator, workspace, dataset, limits };
  const { command, args } = ownProgram(path.join(__dirname, 'probe-main'), JSON.stringify(order));
  return new Promise((resolve, reject) => {
    const options = { signal, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT, encoding: 'utf8' } as const;
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error)
        reject(new ClaraError('internal', `the probe of the ${name} ended: ${lastLine(stderr) || error.message}`));
      else {
        try {
          resolve(verdictSchema.parse(JSON.parse(stdout)));
        } catch (cause) {
          reject(new ClaraError('internal', `the probe of the ${name} said something else than a verdict`, { cause }));
        }
      }
    });
  });
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.slice(0, 500) ?? '';
}
