import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';

const BOUNDARY = 'clara-fed-7d9f2c41b8e6';
const errorSchema = z.object({ error: z.object({ message: z.array(z.string()) }) });

/** Sends a scan to the annotation server in the form in which 3D Slicer's plug-in does, and keeps the mask. @returns seconds */
export async function segmentScan(
  url: string,
  model: string,
  scan: string,
  maskFile: string,
  signal: AbortSignal,
): Promise<number> {
  const started = performance.now();
  const reply = await fetch(new URL(`v1/inference?model=${encodeURIComponent(model)}`, url), {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: new Uint8Array(multipart({}, path.basename(scan), await readFile(scan))),
    signal,
  });
  if (!reply.ok) {
    const body = errorSchema.safeParse(await reply.json().catch(() => undefined));
    const said = body.success ? body.data.error.message.join('; ') : `HTTP ${reply.status}`;
    throw new ClaraError('unavailable', `the annotation server refused the scan: ${said}`);
  }
  for (const part of (await reply.formData()).values()) {
    if (typeof part === 'string') continue;
    await writeFileDurably(maskFile, Buffer.from(await part.arrayBuffer()));
    return (performance.now() - started) / 1000;
  }
  throw new ClaraError('corrupt', 'the annotation server answered without a mask');
}

function multipart(params: object, fileName: string, file: Buffer): Buffer {
  const part = (disposition: string, type = '') =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n${type}\r\n`;
  return Buffer.concat([
    Buffer.from(`${part('name="params"')}${JSON.stringify(params)}\r\n`),
    Buffer.from(part(`name="datapoint"; filename="${fileName}"`, 'Content-Type: application/octet-stream\r\n')),
    file,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ]);
}
