import type { ResourceValidationPolicy, StackValidationPolicy } from '@pulumi/policy';
import { known, UNKNOWN } from './known';
import { type Finding, type PlannedResource, type Properties, type Rule, sentence } from './rule';

/** A rule as the engine wants it. */
export function asPolicy(rule: Rule): ResourceValidationPolicy | StackValidationPolicy {
  const about = { name: rule.name, description: rule.rule, enforcementLevel: rule.level ?? 'mandatory' } as const;
  if ('check' in rule) {
    return {
      ...about,
      validateResource: (resource, report) => {
        for (const finding of rule.check(readable(resource))) {
          if (isKnown(finding)) report(sentence(resource, finding));
        }
      },
    };
  }
  return {
    ...about,
    validateStack: ({ resources }, report) => {
      for (const finding of rule.checkStack(resources.map(readable))) {
        if (isKnown(finding)) report(sentence(finding.of, finding), finding.of.urn);
      }
    },
  };
}

function readable<Resource extends PlannedResource>(resource: Resource): Resource {
  const { props, provider } = resource;
  return {
    ...resource,
    props: known(props) as Properties,
    ...(provider && { provider: { ...provider, props: known(provider.props) as Properties } }),
  };
}

function isKnown({ value }: Finding): boolean {
  return value !== UNKNOWN;
}
