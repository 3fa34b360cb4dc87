import { z } from 'zod';
import { IDENTITY_LABEL_RULE, isIdentityLabel } from './identity';

/** Which sites a plan is about, and how many of them a round asks. */

export const siteIdSchema = z.string().refine(isIdentityLabel, `a site id ${IDENTITY_LABEL_RULE}`);

const namedSitesSchema = z.array(siteIdSchema).min(1, 'must name at least one site').max(1000);

export const cohortSchema = z.union([
  z.literal('all'),
  namedSitesSchema,
  z.strictObject({
    /** So many sites are drawn for each round. */
    sample: z.number().int().min(1).max(1000),
    /** From which they are drawn. @default all: every enrolled site */
    from: z.union([z.literal('all'), namedSitesSchema]).default('all'),
  }),
]);

export type Cohort = 'all' | readonly string[] | { readonly sample: number; readonly from: 'all' | readonly string[] };

/** The sites that may take part; undefined while nobody knows which sites `all` are. */
export function namedSites(cohort: Cohort): readonly string[] | undefined {
  const sites = typeof cohort === 'object' && 'sample' in cohort ? cohort.from : cohort;
  return sites === 'all' ? undefined : sites;
}

/** How many sites a round asks at most; undefined when it asks all, and nobody knows yet how many those are. */
export function sitesOfARound(cohort: Cohort): number | undefined {
  return sampleOf(cohort) ?? namedSites(cohort)?.length;
}

/** How many sites are drawn for a round, when they are drawn. */
export function sampleOf(cohort: Cohort): number | undefined {
  return typeof cohort === 'object' && 'sample' in cohort ? cohort.sample : undefined;
}

/** The same cohort with its sites named. */
export function withSites(cohort: Cohort, sites: readonly string[]): Exclude<Cohort, 'all'> {
  const sample = sampleOf(cohort);
  return sample === undefined ? sites : { sample, from: sites };
}
