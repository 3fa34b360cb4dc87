import { startAnnotationServer } from '../aiaa/server';

/** The server of the case `annotation-load`, as a process of its own: `annotation-server WORKSPACE SLOTS QUEUE`. */
async function main([workspace, slots, queue]: readonly string[]): Promise<void> {
  const server = await startAnnotationServer({
    workspace,
    limits: { slots: Number(slots), queueLength: Number(queue) },
  });
  process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
  process.once('SIGTERM', () => void server.close());
}

void main(process.argv.slice(2));
