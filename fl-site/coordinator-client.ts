import type { WireChunk } from '../federation/chunk-codec';
import type { CoordinatorMessage, SiteMessage } from '../federation/gen/federation/v1/federation_pb';

/** What a site asks of a coordinator. One adapter speaks gRPC; failures arrive as ClaraErrors. */
export interface CoordinatorClient {
  /** Opens the conversation. Aborting the signal ends it. */
  connect(signal: AbortSignal): ControlStream;
  /** Bytes of a model from `offset` on; leaving the loop ends the transfer. */
  download(object: string, offset: number, signal: AbortSignal): AsyncIterable<WireChunk>;
  /** Bytes of this upload that are already durable. */
  uploadStatus(upload: UploadDescription, signal: AbortSignal): Promise<number>;
  /** Sends chunks as fast as the coordinator takes them; resolves when it has verified the whole and made it durable. */
  upload(task: string, chunks: AsyncIterable<WireChunk>, signal: AbortSignal): Promise<BlobDescription>;
  /** A new certificate for this site's certificate request (PKCS #10, DER). */
  renew(requestDer: Uint8Array, signal: AbortSignal): Promise<RenewedCertificates>;
  /** When a chunk last went or came, as performance.now() tells; 0 when none did. */
  readonly movedAt: number;
  /** Calls that run come to their end; new ones are refused. */
  close(): void;
  /** Ends running calls too: nobody answers them any more. */
  abandon(): void;
}

export interface ControlStream {
  send(message: SiteMessage['message']): void;
  /** Ends normally when the coordinator ends the stream, throws when the connection breaks. */
  readonly messages: AsyncIterable<CoordinatorMessage>;
}

export interface BlobDescription {
  readonly size: number;
  /** 32 bytes. */
  readonly sha256: Uint8Array;
}

export interface UploadDescription extends BlobDescription {
  readonly task: string;
}

export interface RenewedCertificates {
  readonly chainPem: string;
  readonly rootsPem: string;
}
