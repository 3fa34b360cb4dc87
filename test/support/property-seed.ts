import fc from 'fast-check';

/**
 * Properties are tried with the same examples in every run, so that a change fails a test only when it broke what is tested.
 * `PROPERTY_SEED=random npm test` tries others, and `PROPERTY_SEED=N` those that a failure has named.
 */
const { PROPERTY_SEED = '20261128' } = process.env;
const seed = PROPERTY_SEED === 'random' ? undefined : Number(PROPERTY_SEED);
if (seed !== undefined && !Number.isSafeInteger(seed)) {
  throw new Error(`PROPERTY_SEED is ${PROPERTY_SEED}; it must be a whole number, or random`);
}
if (seed !== undefined) fc.configureGlobal({ seed });
