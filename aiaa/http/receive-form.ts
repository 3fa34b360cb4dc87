import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Busboy, type BusboyFileStream, type BusboyHeaders, type BusboyInstance } from '@fastify/busboy';
import { ClaraError, showValue } from '../../base/errors';
import { uploadTooLarge } from '../errors';

/** A multipart/form-data request, its files on disk. */
export interface ReceivedForm {
  readonly fields: ReadonlyMap<string, string>;
  /** In the order sent. Names given by the client are dropped: they are full local paths and may name a patient. */
  readonly files: readonly ReceivedFile[];
}

export interface ReceivedFile {
  readonly field: string;
  readonly path: string;
  readonly bytes: number;
}

export interface FormLimits {
  /** Largest file, in bytes. */
  readonly fileBytes: number;
  /** Fields that hold files. @default those in which clients send volumes */
  readonly fileFields?: RegExp;
  /** What to say of a larger file. @default that a volume is too large */
  readonly tooLarge?: (limitBytes: number) => ClaraError;
}

const FIELD_BYTES = 2 ** 20;
const MAX_FIELDS = 16;
/** More than any client sends; a DICOM series comes as one file a slice. */
const MAX_FILES = 2048;
/** What field names, boundaries and part headers may add to the files in Content-Length. */
const ENVELOPE_BYTES = 2 ** 20;

/** Fields in which clients send volumes: python and Slicer `datapoint`, C++ and OHIF `image`, series `image0`, `image1`..., MONAI Label's `files` and `label`. */
const VOLUME_FIELD = /^(datapoint|file|files|image\d*|label)$/;

/**
 * Streams a form to disk. The parser takes the boundary as it comes: quoted, or unquoted with characters that RFC 2046
 * does not allow there (the python client's ends with `$`).
 *
 * After a failure the rest of the body is still to be read; the files written so far lie in `folder`, which is the caller's to
 * remove.
 *
 * @throws ClaraError `invalid-input`; `cancelled` when the client leaves; `out-of-space`; AiaaError 413
 */
export async function receiveForm(
  incoming: IncomingMessage,
  folder: string,
  limits: FormLimits,
): Promise<ReceivedForm> {
  const { tooLarge = uploadTooLarge } = limits;
  if (Number(incoming.headers['content-length'] ?? 0) > limits.fileBytes + ENVELOPE_BYTES) {
    throw tooLarge(limits.fileBytes);
  }
  const parser = parserFor(incoming, limits);
  const fields = new Map<string, string>();
  const saving: Promise<ReceivedFile>[] = [];
  const streams: BusboyFileStream[] = [];
  let leave = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      leave = () => {
        if (!incoming.complete) reject(new ClaraError('cancelled', 'The client has left.'));
      };
      parser.on('field', (name, value, nameCut, valueCut) => {
        if (nameCut || valueCut) reject(malformed(`the field ${showValue(name)} is longer than ${FIELD_BYTES} bytes`));
        else fields.set(name, value);
      });
      parser.on('file', (field, stream) => {
        streams.push(stream);
        // The parser reports a body that ends early here too, also when nobody reads the stream any more.
        stream.on('error', () => {});
        stream.once('limit', () => reject(tooLarge(limits.fileBytes)));
        const saved = saveFile(field, stream, path.join(folder, `upload-${saving.length}`), limits.fileFields);
        saved.catch(reject);
        saving.push(saved);
      });
      for (const limit of ['filesLimit', 'fieldsLimit', 'partsLimit'] as const) {
        parser.once(limit, () => reject(malformed('it has too many parts')));
      }
      parser.on('error', (error) => reject(asRefusal(error)));
      parser.once('finish', () => resolve());
      incoming.once('close', leave).once('error', leave);
      incoming.pipe(parser);
    });
    return { fields, files: await Promise.all(saving) };
  } catch (error) {
    incoming.unpipe(parser);
    // With the error: a stream of this parser that is destroyed without one never ends the pipeline that reads it.
    for (const stream of streams) stream.destroy(error as Error);
    await Promise.allSettled(saving);
    throw error;
  } finally {
    incoming.off('close', leave).off('error', leave);
  }
}

function parserFor(incoming: IncomingMessage, limits: FormLimits): BusboyInstance {
  try {
    return new Busboy({
      headers: incoming.headers as BusboyHeaders,
      isPartAFile: (name, _type, filename) =>
        filename !== undefined || (limits.fileFields ?? VOLUME_FIELD).test(name ?? ''),
      limits: { fileSize: limits.fileBytes, fieldSize: FIELD_BYTES, fields: MAX_FIELDS, files: MAX_FILES },
    });
  } catch {
    const type = incoming.headers['content-type'];
    throw new ClaraError(
      'invalid-input',
      `The request has content type ${showValue(type ?? 'none')}; send multipart/form-data with a boundary, the volume in the field "datapoint" or "image".`,
    );
  }
}

async function saveFile(
  field: string,
  stream: BusboyFileStream,
  target: string,
  fields: RegExp = VOLUME_FIELD,
): Promise<ReceivedFile> {
  if (!fields.test(field)) {
    const known = fields === VOLUME_FIELD ? '"datapoint", "image" or "file"' : `one that fits ${fields.source}`;
    throw malformed(`the file is in the field ${showValue(field)}; use ${known}`);
  }
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  try {
    await pipeline(stream, createWriteStream(target, { flags: 'wx', mode: 0o600 }));
  } catch (error) {
    throw asRefusal(error);
  }
  return { field, path: target, bytes };
}

function asRefusal(error: unknown): ClaraError {
  const known = ClaraError.from(error, 'receiving the volume');
  // The parser's own errors have no code: whatever it cannot read is the sender's mistake.
  return known.code === 'internal' ? malformed((error as Error).message) : known;
}

function malformed(why: string): ClaraError {
  return new ClaraError('invalid-input', `The form cannot be read: ${why}.`);
}
