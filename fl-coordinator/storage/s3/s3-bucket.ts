import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { ClaraError, hasCode } from '../../../base/errors';
import { notFound } from '../object-file';
import type { ObjectInfo } from '../object-store';
import type { S3Address } from '../store-address';
import {
  completed,
  dispose,
  type Found,
  foundIn,
  type Pinned,
  refused,
  WRITE_ID,
  type WriteCondition,
} from './s3-answers';
import { DEFAULT_RETRIES, type RetryPolicy, S3Requests } from './s3-requests';

// The SDK is pinned, so that what later releases of it will need says nothing to whoever reads the log.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const CONNECT_MILLIS = 5000;
const ANSWER_MILLIS = 60_000;
const SOCKETS = 64;

/**
 * The requests that the store makes of one bucket, each with retries, typed errors, checksums and encryption. Names are keys
 * of the store, or of its own files; the store's prefix is added here.
 */
export class S3Bucket {
  readonly #client: S3Client;
  readonly requests: S3Requests;
  readonly #encryption: {
    readonly ServerSideEncryption?: 'aws:kms';
    readonly SSEKMSKeyId?: string;
    readonly BucketKeyEnabled?: true;
  };
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(address: S3Address, retries: Partial<RetryPolicy> = {}) {
    const { bucket, prefix, endpoint, kmsKeyId } = address;
    this.#bucket = bucket;
    this.#prefix = prefix === '' ? '' : `${prefix}/`;
    this.requests = new S3Requests({ ...DEFAULT_RETRIES, ...retries });
    this.#encryption = kmsKeyId
      ? { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId, BucketKeyEnabled: true }
      : {};
    this.#client = new S3Client({
      ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
      // Servers of one's own have no region, but signatures name one.
      ...(endpoint && !process.env.AWS_REGION ? { region: 'us-east-1' } : {}),
      maxAttempts: 1,
      requestHandler: {
        connectionTimeout: CONNECT_MILLIS,
        requestTimeout: ANSWER_MILLIS,
        throwOnRequestTimeout: true,
        httpAgent: { maxSockets: SOCKETS, keepAlive: true },
        httpsAgent: { maxSockets: SOCKETS, keepAlive: true },
      },
    });
  }

  close(): void {
    this.#client.destroy();
  }

  /** @throws ClaraError `not-found` */
  async head(name: string): Promise<Found> {
    const answer = await this.#found(name, (options) =>
      this.#client.send(new HeadObjectCommand(this.#at(name)), options),
    );
    return foundIn(answer, answer.ContentLength ?? 0);
  }

  /**
   * One answer to one GET, whose body may break.
   * @param range as in HTTP, both ends inclusive
   * @throws ClaraError `not-found`; `invalid-input` when the range holds no byte; `precondition-failed` when `pinned` is gone
   */
  async get(
    name: string,
    { range, pinned, signal }: { range?: string | undefined; pinned?: Pinned; signal?: AbortSignal | undefined } = {},
  ): Promise<Found & { readonly body: NonNullable<GetObjectCommandOutput['Body']> }> {
    const which = pinned ? (pinned.version ? { VersionId: pinned.version } : { IfMatch: pinned.etag }) : {};
    const request = { ...this.#at(name), ...which, ...(range ? { Range: range } : {}) };
    const answer = await this.#found(
      name,
      (options) => this.#client.send(new GetObjectCommand(request), options),
      signal,
    );
    const whole = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1];
    if (range && whole === undefined) {
      dispose(answer.Body!);
      throw new ClaraError('unsupported', `reading ${name}: the server does not answer ranges; use another one`);
    }
    return { ...foundIn(answer, Number(whole ?? answer.ContentLength ?? 0)), body: answer.Body! };
  }

  async put(
    name: string,
    bytes: Uint8Array,
    { condition, signal }: { condition?: WriteCondition; signal?: AbortSignal | undefined } = {},
  ): Promise<ObjectInfo> {
    const writeId = randomUUID();
    const request = {
      ...this.#at(name),
      ...this.#written(writeId),
      ...condition,
      Body: bytes,
      ContentLength: bytes.length,
    };
    const settle = () => this.#writtenBy(name, writeId);
    try {
      return await this.requests.attempt(
        `writing ${name}`,
        async (options) => {
          const { ETag } = await this.#client.send(new PutObjectCommand(request), options);
          return { size: bytes.length, etag: ETag! };
        },
        { signal, settle },
      );
    } catch (error) {
      if (condition && hasCode(error, 'precondition-failed', 'not-found')) throw refused(name, condition, error);
      throw error;
    }
  }

  async delete(name: string): Promise<void> {
    await this.requests.attempt(`deleting ${name}`, async (options) => {
      await this.#client.send(new DeleteObjectCommand(this.#at(name)), options);
    });
  }

  async deleteAll(names: readonly string[]): Promise<void> {
    for (let begin = 0; begin < names.length; begin += 1000) {
      const Objects = names.slice(begin, begin + 1000).map((name) => ({ Key: this.#prefix + name }));
      await this.requests.attempt(`deleting ${names[begin]} and others`, async (options) => {
        const request = { Bucket: this.#bucket, Delete: { Objects, Quiet: true } };
        const { Errors = [] } = await this.#client.send(new DeleteObjectsCommand(request), options);
        const [first] = Errors;
        if (first) throw Object.assign(new Error(first.Message ?? ''), { name: first.Code ?? 'InternalError' });
      });
    }
  }

  /** Names below `prefix` in the order of their bytes, behind `after`. */
  async *list(
    prefix: string,
    { after = '', pageSize = 1000 }: { readonly after?: string; readonly pageSize?: number } = {},
  ): AsyncGenerator<{ readonly name: string; readonly size: number; readonly etag: string; readonly modified: Date }> {
    let page: ListObjectsV2CommandOutput | undefined;
    do {
      const request = {
        Bucket: this.#bucket,
        Prefix: this.#prefix + prefix,
        MaxKeys: pageSize,
        ...(page
          ? { ContinuationToken: page.NextContinuationToken }
          : after
            ? { StartAfter: this.#prefix + after }
            : {}),
      };
      page = await this.requests.attempt(`listing ${prefix}`, (options) =>
        this.#client.send(new ListObjectsV2Command(request), options),
      );
      for (const { Key = '', Size = 0, ETag = '', LastModified = new Date(0) } of page.Contents ?? []) {
        yield { name: Key.slice(this.#prefix.length), size: Size, etag: ETag, modified: LastModified };
      }
    } while (page.IsTruncated);
  }

  /** Begins an object that is made of parts. */
  async beginParts(name: string): Promise<PartsUpload> {
    const writeId = randomUUID();
    const { ChecksumAlgorithm, ...written } = this.#written(writeId);
    const request = { ...this.#at(name), ...written, ChecksumAlgorithm };
    const { UploadId } = await this.requests.attempt(`writing ${name}`, (options) =>
      this.#client.send(new CreateMultipartUploadCommand(request), options),
    );
    return { name, uploadId: UploadId!, writeId };
  }

  async putPart({ name, uploadId }: PartsUpload, number: number, bytes: Uint8Array): Promise<CompletedPart> {
    const request = { ...this.#at(name), UploadId: uploadId, PartNumber: number, ChecksumAlgorithm: 'CRC32' as const };
    const answer = await this.requests.attempt(`writing ${name}`, (options) =>
      this.#client.send(new UploadPartCommand({ ...request, Body: bytes, ContentLength: bytes.length }), options),
    );
    return completed(number, answer);
  }

  /** A part that S3 copies from another object. */
  async copyPart({ name, uploadId }: PartsUpload, number: number, from: string, etag: string): Promise<CompletedPart> {
    const source = { CopySource: `${this.#bucket}/${this.#prefix}${from}`, CopySourceIfMatch: etag };
    const request = { ...this.#at(name), UploadId: uploadId, PartNumber: number, ...source };
    const { CopyPartResult = {} } = await this.requests.attempt(`writing ${name}`, (options) =>
      this.#client.send(new UploadPartCopyCommand(request), options),
    );
    return completed(number, CopyPartResult);
  }

  async finishParts(
    { name, uploadId, writeId }: PartsUpload,
    parts: readonly CompletedPart[],
    size: number,
  ): Promise<ObjectInfo> {
    const request = { ...this.#at(name), UploadId: uploadId, MultipartUpload: { Parts: [...parts] } };
    return this.requests.attempt(
      `writing ${name}`,
      async (options) => {
        const { ETag } = await this.#client.send(new CompleteMultipartUploadCommand(request), options);
        return { size, etag: ETag! };
      },
      { settle: () => this.#writtenBy(name, writeId) },
    );
  }

  async abortParts({ name, uploadId }: Pick<PartsUpload, 'name' | 'uploadId'>): Promise<void> {
    const request = { ...this.#at(name), UploadId: uploadId };
    try {
      await this.requests.attempt(`giving up ${name}`, (options) =>
        this.#client.send(new AbortMultipartUploadCommand(request), options),
      );
    } catch (error) {
      if (!hasCode(error, 'precondition-failed', 'not-found')) throw error;
    }
  }

  /** Every object that is being made of parts, by anybody, below the store's prefix. */
  async unfinishedParts(): Promise<
    readonly { readonly name: string; readonly uploadId: string; readonly begun: Date }[]
  > {
    const found: { name: string; uploadId: string; begun: Date }[] = [];
    let markers: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
    for (;;) {
      const request = { Bucket: this.#bucket, Prefix: this.#prefix, ...markers };
      const page = await this.requests.attempt('listing unfinished uploads', (options) =>
        this.#client.send(new ListMultipartUploadsCommand(request), options),
      );
      for (const { Key = '', UploadId = '', Initiated = new Date() } of page.Uploads ?? []) {
        found.push({ name: Key.slice(this.#prefix.length), uploadId: UploadId, begun: Initiated });
      }
      if (!page.IsTruncated) return found;
      markers = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
    }
  }

  #at(name: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + name };
  }

  #written(writeId: string) {
    return { ...this.#encryption, ChecksumAlgorithm: 'CRC32' as const, Metadata: { [WRITE_ID]: writeId } };
  }

  /** What is there, if this very write made it. */
  async #writtenBy(name: string, writeId: string): Promise<ObjectInfo | undefined> {
    const found = await this.head(name).catch(() => undefined);
    return found?.writeId === writeId ? { size: found.size, etag: found.etag } : undefined;
  }

  async #found<Answer>(
    name: string,
    request: (options: { readonly abortSignal?: AbortSignal }) => Promise<Answer>,
    signal?: AbortSignal,
  ): Promise<Answer> {
    try {
      return await this.requests.attempt(`reading ${name}`, request, { signal });
    } catch (error) {
      throw hasCode(error, 'not-found') ? notFound(name) : error;
    }
  }
}

export interface PartsUpload {
  readonly name: string;
  readonly uploadId: string;
  readonly writeId: string;
}
