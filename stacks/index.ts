import * as pulumi from '@pulumi/pulumi';
import { protectData } from './protect-data';
import { stackRole } from './role';

/**
 * What `pulumi up` runs. The role of the stack decides the program; it is loaded only then, because the AWS classes take
 * most of a second and a refused configuration needs none of them.
 */
export = async (): Promise<Record<string, pulumi.Input<unknown>>> => {
  const stack = pulumi.getStack();
  const configuration = pulumi.runtime.allConfig();
  if (/^(org|prod)(-|$)/.test(stack)) protectData();
  switch (stackRole(configuration, stack)) {
    case 'site': {
      const [{ siteConfiguration }, { deploySite }] = await Promise.all([import('./configuration'), import('./site')]);
      return deploySite(siteConfiguration(configuration, stack));
    }
  }
};
