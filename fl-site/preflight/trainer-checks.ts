import { execFile } from 'node:child_process';
import type { ProgramStart } from '../../base/own-program';
import { hasSystemCode } from '../../base/system-codes';
import { REAL_PACING } from '../backoff';
import type { SiteConfiguration } from '../configuration';
import { checkTrainer } from '../trainer-check';
import { ecsSettings } from '../trainer-configuration';
import { awsCluster } from '../trainers/ecs/ecs-cluster';
import { trainerProgram } from '../trainers/make-trainer';
import { failed, failedBy, ok, type Verdict, warning } from './verdict';

/**
 * The quick form of the contract's check: it starts, makes first weights, and refuses what it does not understand. A trainer
 * that runs as an ECS task costs a machine to start: of that one only the cluster is looked at.
 */
export async function trainerCheck(
  site: SiteConfiguration,
  reference: ProgramStart | undefined,
  timeoutMillis: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const ecs = ecsSettings(site.trainer);
  if (ecs !== undefined) {
    const cluster = awsCluster(ecs, site.id, REAL_PACING);
    try {
      return ok(`${site.trainer.name}: ${await cluster.look(signal)}`);
    } catch (thrown) {
      return failedBy(thrown, 'correct trainer.ecs, or give the agent the rights that docs/operations.md lists');
    } finally {
      cluster.close();
    }
  }
  const { steps } = await checkTrainer(trainerProgram(site, reference), {
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
      const missing = hasSystemCode(error, 'ENOENT');
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
