import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';

/** All files of a folder as one archive, below the folder `top`. */
export async function tarOf(folder: string, top: string): Promise<Buffer> {
  const archive = pack();
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = path.join(folder, name);
    if (statSync(file).isFile()) archive.entry({ name: `${top}/${name}` }, readFileSync(file));
  }
  archive.finalize();
  return buffer(archive as unknown as AsyncIterable<Uint8Array>);
}
