import { z } from 'zod';
import { accountId, cidrs, region, siteId } from './common-keys';

/**
 * The catalogue of an environment: what `Pulumi.<environment>.yaml` says of each hospital, and the only place where it is said.
 * The organisation stack makes the accounts of it, the coordinator stack lets its accounts in, and each site's own stack file is
 * written from it.
 */
export const SITE_ENTRY = z.strictObject({
  id: siteId,
  name: z.string().min(2, "must be the hospital's name, of 2 to 100 characters").max(100),
  /** Known from the start for an account that exists and is adopted; else written down when the organisation has made it. */
  accountId: accountId.optional(),
  /** Of a new account's root user. Without it the account exists and is somebody else's to close. */
  accountEmail: z
    .string()
    .regex(/^[^@\s]+@[^@\s]+\.[^@\s]+$/, 'must be an e-mail address')
    .optional(),
  region,
  /** How the agent reaches the coordinator. @default private: PrivateLink */
  link: z.enum(['private', 'public'], { error: 'must be private or public' }).default('private'),
  /** With a public link: the addresses that the site comes from. */
  egressCidrs: cidrs.default([]),
  /** Configuration keys of the site's stack, beside those that follow from the catalogue. */
  settings: z.record(z.string(), z.unknown()).default({}),
});

export type SiteEntry = z.output<typeof SITE_ENTRY>;
export type SiteEntryInput = z.input<typeof SITE_ENTRY>;

export const CATALOGUE = z.array(SITE_ENTRY).superRefine((sites, context) => {
  const seen = new Map<string, number>();
  sites.forEach((site, index) => {
    const fault = (key: string, message: string) => context.addIssue({ code: 'custom', path: [index, key], message });
    if (seen.has(site.id)) fault('id', 'is in the catalogue twice');
    seen.set(site.id, index);
    if (site.accountId === undefined && site.accountEmail === undefined) {
      fault('accountId', 'is needed for an account that exists, or accountEmail for one that is to be made');
    }
    if (site.link === 'public' && site.egressCidrs.length === 0) {
      fault('egressCidrs', 'are needed with a public link: the addresses that the coordinator lets in');
    }
  });
});

/** Names of the images of an environment to the digest that all of its sites run. */
export const IMAGE_DIGESTS = z.record(
  z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?$/, 'must be the name of an image'),
  z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be a digest, sha256: and 64 hexadecimal digits'),
  { error: 'must map names of images to digests' },
);
