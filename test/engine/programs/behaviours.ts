import * as pulumi from '@pulumi/pulumi';
import { Thing, ThingProvider } from './thing';

class Group extends pulumi.ComponentResource {
  readonly inner: Thing;

  constructor(name: string, value: pulumi.Input<string>, opts: pulumi.ComponentResourceOptions) {
    super('clara-federation:test:Group', name, {}, opts);
    this.inner = new Thing(`${name}-inner`, value, { parent: this, retainOnDelete: true });
    this.registerOutputs({ inner: this.inner.value });
  }
}

const provider = new ThingProvider('given');
const password = new pulumi.Config().requireSecret('password');
const first = new Thing('first', password, { provider });
const group = new Group('group', first.id, { provider, protect: true });

export const secret = first.value;
export const inner = group.inner.value;
