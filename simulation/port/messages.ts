import { ClaraError, type ErrorCode, type Fault } from '../../base/errors';
import type { WireChunk } from '../../federation/chunk-codec';

/**
 * What goes through the port between a thread of sites and the coordinator, in place of gRPC over TLS: the calls by
 * which a site works, the same messages in their wire encoding, and chunks as they are. Whoever takes chunks asks for each, so none waits in memory.
 */
export type Method = 'connect' | 'download' | 'uploadStatus' | 'upload';

export type FromSites =
  | {
      readonly kind: 'open';
      readonly call: number;
      readonly site: string;
      readonly method: Method;
      /** The request in its wire encoding; of an upload, the id of the task. */
      readonly request: Uint8Array | string;
    }
  | { readonly kind: 'message'; readonly call: number; readonly bytes: Uint8Array }
  /** The chunk that was asked for; absent, there is none any more. */
  | { readonly kind: 'chunk'; readonly call: number; readonly chunk: WireChunk | undefined }
  /** Asks for a chunk; gives back the memory of the one before. */
  | { readonly kind: 'next'; readonly call: number; readonly memory?: ArrayBuffer | undefined }
  | { readonly kind: 'cancel'; readonly call: number };

export type ToSites =
  | { readonly kind: 'message'; readonly call: number; readonly bytes: Uint8Array }
  | { readonly kind: 'chunk'; readonly call: number; readonly chunk: WireChunk }
  | { readonly kind: 'next'; readonly call: number; readonly memory?: ArrayBuffer | undefined }
  /** The end of a call that went well, with the answer, if it has one. */
  | { readonly kind: 'end'; readonly call: number; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly call: number; readonly error: PortError };

export interface PortError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly faults: readonly Fault[];
}

export function toPortError(thrown: unknown): PortError {
  const { code, message, faults } = ClaraError.from(thrown);
  return { code, message, faults };
}

export function fromPortError({ code, message, faults }: PortError): ClaraError {
  return new ClaraError(code, message, { faults });
}
