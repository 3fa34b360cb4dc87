import { at, isObject, providerInput, stackOf } from '../properties';
import type { Finding, PlannedResource, ResourceRule } from '../rule';

/** What everything that is made carries, so that a bill or an alarm says whose it is. */
const REQUIRED = ['Project', 'Environment', 'ManagedBy'] as const;

export const tags: ResourceRule = {
  name: 'tags',
  rule: 'Everything is tagged with Project, Environment and ManagedBy, sites also with Site, and no tag tells of a person.',
  *check(resource) {
    const { type, props, provider } = resource;
    if (!type.startsWith('aws:') || provider === undefined) return;
    const defaults = providerInput(provider.props, 'defaultTags');
    const given = at(defaults, 'tags');
    const common = isObject(given) ? given : {};
    const isSite = /^(dev|prod)-/.test(stackOf(resource));
    for (const key of isSite ? [...REQUIRED, 'Site'] : REQUIRED) {
      if (!common[key]) {
        yield {
          field: `provider ${provider.name}: defaultTags.tags.${key}`,
          wayOut: 'set it where the provider is made',
        };
      }
    }
    if (isObject(props.tags)) yield* personal('tags', props.tags);
    yield* personal(`provider ${provider.name}: defaultTags.tags`, common);
  },
};

/** Tags are shown to billing, support and every auditor, and AWS says not to put personal data there (Tagging user guide). */
const PERSONAL_KEY =
  /patient|nhs|mrn|(^|[^a-z])dob|birth|surname|first.?name|diagnos|accession|study.?uid|phone|e-?mail/i;

const PERSONAL_VALUES: readonly { readonly what: string; readonly matches: (value: string) => boolean }[] = [
  { what: 'an e-mail address', matches: (value) => /[^\s@]+@[^\s@]+\.[a-z]{2,}/i.test(value) },
  { what: 'a DICOM identifier', matches: (value) => /\b[0-2](\.\d+){5,}\b/.test(value) },
  { what: 'a date of birth or of a study', matches: (value) => /\b(19|20)\d\d-?[01]\d-?[0-3]\d\b/.test(value) },
  {
    what: 'an NHS number',
    matches: (value) => (value.match(/\b\d{3}[ -]?\d{3}[ -]?\d{4}\b/g) ?? []).some(isNhsNumber),
  },
];

function* personal(path: string, values: PlannedResource['props']): Iterable<Finding> {
  for (const [key, value] of Object.entries(values)) {
    if (PERSONAL_KEY.test(key)) yield { field: `${path}.${key}`, value: '[not shown]', wayOut: 'remove the tag' };
    const found = PERSONAL_VALUES.find(({ matches }) => typeof value === 'string' && matches(value));
    if (found !== undefined) {
      yield { field: `${path}.${key}`, value: '[not shown]', wayOut: `remove ${found.what} from it` };
    }
  }
}

/** Modulus 11 over nine digits with weights 10 to 2 (NHS Data Dictionary, "NHS number"). */
function isNhsNumber(text: string): boolean {
  const digits = [...text.replaceAll(/\D/g, '')].map(Number);
  const sum = digits.slice(0, 9).reduce((total, digit, index) => total + digit * (10 - index), 0);
  const check = 11 - (sum % 11);
  return digits.length === 10 && (check === 11 ? 0 : check) === digits[9] && check !== 10;
}
