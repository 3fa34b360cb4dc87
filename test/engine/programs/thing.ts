import * as pulumi from '@pulumi/pulumi';

/** A resource and a provider of a package that does not exist: what the engine's rules need, and quick to load. */
export class Thing extends pulumi.CustomResource {
  declare readonly value: pulumi.Output<string>;
  declare readonly made: pulumi.Output<string>;

  constructor(name: string, value: pulumi.Input<string>, opts?: pulumi.CustomResourceOptions) {
    super('test:index:Thing', name, { value, made: undefined }, opts);
  }
}

export class ThingProvider extends pulumi.ProviderResource {
  constructor(name: string) {
    super('test', name, {});
  }
}
