/** What the site says that it will send. */
export interface Announcement {
  readonly size: number;
  readonly sha256: string;
}

/** Of what the site sent. */
export interface UploadReceipt {
  readonly digest: string;
  readonly bytes: number;
  /** What that decodes to, and stands under the update's key, when it was sent encoded. */
  readonly stored?: { readonly digest: string; readonly bytes: number };
}

/** An update that is sent encoded. */
export interface SentUpdate {
  /** Where it goes as it is sent. */
  readonly key: string;
  /** Makes what it decodes to durable under the update's key. @throws ClaraError `invalid-input` when it cannot be read */
  decode(): Promise<{ readonly digest: string; readonly bytes: number }>;
}
