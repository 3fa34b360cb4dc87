import { startAnnotationServer } from '../../../aiaa/server';
import { FAKE_ENGINE } from './server';

/**
 * A server with the engine double as a process of its own, for tests that kill it: `server-main WORKSPACE [TRAINER]`, the trainer as a text
 * of JavaScript; prints its port.
 */
async function main(workspace: string, script?: string): Promise<void> {
  const trainer = script === undefined ? undefined : { command: process.execPath, args: ['-e', script] };
  const { port, workers } = await startAnnotationServer({ workspace, engineModule: FAKE_ENGINE, trainer });
  process.stdout.write(`${JSON.stringify({ port, workers })}\n`);
}

void main(process.argv[2], process.argv[3]);
