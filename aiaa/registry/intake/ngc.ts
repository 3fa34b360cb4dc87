import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { ClaraError } from '../../../base/errors';
import { faultsOf } from '../../../base/faults';
import { modelTooLarge } from '../../errors';

/** Where NVIDIA GPU Cloud answers. */
export const NGC_URL = 'https://api.ngc.nvidia.com';

const segment = '[A-Za-z0-9][A-Za-z0-9_.-]{0,99}';

/** `{"path": "nvidia/med/clara_pt_spleen_ct_segmentation", "version": "1"}`, as Clara Train's scripts send it. */
const ngcSchema = z.strictObject({
  path: z.string().regex(new RegExp(`^${segment}(/${segment}){1,3}$`), 'give organisation/team/model'),
  version: z
    .union([z.string(), z.number().transform(String)])
    .pipe(z.string().regex(new RegExp(`^${segment}$`), 'give one version')),
});

export type NgcModel = z.infer<typeof ngcSchema>;

/** @throws ClaraError `invalid-input` */
export function parseNgc(document: unknown): NgcModel {
  const parsed = ngcSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw ClaraError.ofFaults('The model of NGC', faultsOf(parsed.error, document));
}

export interface NgcOptions {
  /** @default {@link NGC_URL} */
  readonly url: string;
  readonly folder: string;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Downloads the zip of an MMAR from NVIDIA GPU Cloud.
 *
 * @returns the zip
 * @throws ClaraError `unavailable`, with what to do without a network; `not-found`; `permission-denied`; `resource-exhausted`
 */
export async function fetchFromNgc(model: NgcModel, { url, folder, maxBytes, signal }: NgcOptions): Promise<string> {
  const where = new URL(url);
  const address = new URL(`/v2/models/${model.path}/versions/${model.version}/zip`, where);
  const what = `${model.path}:${model.version}`;
  const response = await fetch(address, { signal, redirect: 'follow' }).catch((cause: Error) => {
    if (signal.aborted) throw ClaraError.from(signal.reason);
    const why = (cause.cause as Error | undefined)?.message ?? cause.message;
    throw new ClaraError(
      'unavailable',
      `${where.host} cannot be reached from this server (${why}); download ${what} elsewhere and send its zip in the field data.`,
      { cause },
    );
  });
  if (!response.ok || response.body === null) throw refusal(response.status, where.host, what);
  const target = path.join(folder, 'ngc.zip');
  await pipeline(
    Readable.fromWeb(response.body as never),
    atMost(maxBytes),
    createWriteStream(target, { flags: 'wx', mode: 0o600 }),
    { signal },
  );
  return target;
}

function refusal(status: number, host: string, what: string): ClaraError {
  if (status === 404) return new ClaraError('not-found', `${host} has no model ${what}; check path and version.`);
  if (status === 401 || status === 403) {
    return new ClaraError(
      'permission-denied',
      `${host} does not give ${what} to everybody (${status}); download it with your account and send its zip in the field data.`,
    );
  }
  return new ClaraError(
    'unavailable',
    `${host} answered ${status} for ${what}; try again later, or send its zip in the field data.`,
  );
}

function atMost(limit: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= limit) done(null, chunk);
      else done(modelTooLarge('The archive', limit));
    },
  });
}
