import { at, isObject } from '../properties';
import type { ResourceRule } from '../rule';

/** Version 1 hands an instance's credentials to whoever can make a program of it fetch an address (SSRF). */
export const imdsv2: ResourceRule = {
  name: 'imdsv2',
  rule: 'Instances answer about themselves only to sessions (IMDSv2), and not through a second hop, such as a container.',
  *check({ type, props }) {
    if (type !== 'aws:ec2/launchTemplate:LaunchTemplate' && type !== 'aws:ec2/instance:Instance') return;
    // An instance that is made from a template has what the template says, and that is checked where it is made.
    if (isObject(props.launchTemplate) && props.metadataOptions === undefined) return;
    const tokens = at(props, 'metadataOptions.httpTokens');
    if (tokens !== 'required')
      yield { field: 'metadataOptions.httpTokens', value: tokens, wayOut: 'set it to required' };
    const hops = at(props, 'metadataOptions.httpPutResponseHopLimit');
    if (hops !== 1) yield { field: 'metadataOptions.httpPutResponseHopLimit', value: hops, wayOut: 'set it to 1' };
  },
};
