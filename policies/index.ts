import { PolicyPack } from '@pulumi/policy';
import { asPolicy } from './as-policy';
import { RULES } from './rules';

/** What `pulumi up --policy-pack policies` runs: every rule, as the engine asks for it. */
new PolicyPack('clara-federation', { policies: RULES.map(asPolicy), enforcementLevel: 'mandatory' });
