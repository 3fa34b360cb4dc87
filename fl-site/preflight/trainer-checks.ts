import { execFile } from 'node:child_process';
import type { ProgramStart } from '../../base/own-program';
import type { SiteConfiguration } from '../configuration';
import { checkTrainer } from '../trainer-check';
import { failed, ok, type Verdict, warning } from './verdict';

/** The quick form of the contract's check: it starts, makes first weights, and refuses what it does not understand. */
export async function trainerCheck(
  site: SiteConfiguration,
  program: ProgramStart,
  timeoutMillis: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const { steps } = await checkTrainer(program, {
    quick: true,
    dataset: site.dataset,
    environment: site.trainer.environment,
    timeoutMillis,
    graceMillis: Math.min(timeoutMillis, 5000),
    signal,
  });
  const broken = steps.filter(({ outcome }) => outcome === 'failed');
  if (broken.length > 0) {
    const found = broken.map(({ name, reason }) => `"${name}" does not hold: ${reason}`).join('; ');
    return failed(`${site.trainer.name}: ${found}`, broken[0]!.mend);
  }
  const judged = steps.filter(({ outcome }) => outcome === 'passed').map(({ name }) => name);
  const declined = steps.find(({ outcome }) => outcome === 'skipped');
  return ok(`${site.trainer.name} starts and ${judged.join(', ')}${declined ? ` (${declined.reason})` : ''}`);
}

const QUERY = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'];

/** Reports what nvidia-smi sees; whether a GPU is needed, only the trainer knows. */
export function gpuCheck(signal: AbortSignal, program = 'nvidia-smi'): Promise<Verdict> {
  return new Promise((resolve) => {
    execFile(program, QUERY, { signal, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 }, (error, stdout, stderr) => {
      const missing = (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';
      const cards = stdout.trim().split('\n').filter(Boolean);
      if (missing) resolve(ok('none is visible (there is no nvidia-smi); the trainer may need none'));
      else if (error) {
        const said = `${stdout}\n${stderr}`.trim().split('\n')[0]?.slice(0, 200) || error.message;
        const found = `nvidia-smi does not work: ${said}`;
        resolve(warning(found, 'mend the driver if the trainer needs a GPU; after an update, restart the machine'));
      } else if (cards.length === 0) resolve(ok('nvidia-smi lists none; the trainer may need none'));
      else resolve(ok(cards.map((card) => card.trim()).join('; ')));
    });
  });
}
