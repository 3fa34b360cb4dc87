import { startAnnotationServer } from '../../../aiaa/server';
import { FAKE_ENGINE } from './server';

/** A server with the engine double as a process of its own, for tests that kill it: `server-main WORKSPACE`; prints its port. */
async function main(workspace: string): Promise<void> {
  const { port, workers } = await startAnnotationServer({ workspace, engineModule: FAKE_ENGINE });
  process.stdout.write(`${JSON.stringify({ port, workers })}\n`);
}

void main(process.argv[2]);
