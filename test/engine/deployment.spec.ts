import assert from 'node:assert/strict';
import { Deployment, type RegistrationRequest } from './deployment';

const ROOT = 'urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev';

const BARE: RegistrationRequest = {
  type: 'test:index:Thing',
  name: 'thing',
  parent: ROOT,
  custom: true,
  provider: '',
  providers: {},
  inputs: {},
  dependencies: [],
  propertyDependencies: {},
  protect: undefined,
  retainOnDelete: false,
  deleteBeforeReplace: false,
  ignoreChanges: [],
  replaceOnChanges: [],
  aliases: [],
  secretOutputs: [],
};

function deployment(withoutDefaultProvider: readonly string[] = []): Deployment {
  const started = new Deployment({
    project: 'p',
    stack: 'dev',
    mode: 'update',
    partition: 'aws',
    withoutDefaultProvider,
  });
  started.register({ ...BARE, type: 'pulumi:pulumi:Stack', name: 'p-dev', parent: '', custom: false });
  return started;
}

function registered(state: Deployment, name: string) {
  return state.resources.find((resource) => resource.name === name)!;
}

describe('engine double: rules that the Node.js SDK hides by applying them itself', () => {
  it('takes the provider of the nearest component above, of the same package', () => {
    const state = deployment();
    const provider = state.register({ ...BARE, type: 'pulumi:providers:test', name: 'given' });
    const reference = `${provider.urn}::${provider.id}`;
    const component = { ...BARE, custom: false, type: 'x:y:Outer' };
    const outer = state.register({ ...component, name: 'outer', providers: { test: reference } });
    const inner = state.register({ ...component, name: 'inner', parent: outer.urn });
    state.register({ ...BARE, name: 'deep', parent: inner.urn });
    state.register({ ...BARE, name: 'other-package', type: 'else:index:Thing', parent: inner.urn });

    assert.equal(registered(state, 'deep').provider, provider.urn);
    assert.equal(registered(state, 'other-package').provider, 'default:else');
  });

  it('protects a child of a protected parent unless the child says otherwise', () => {
    const state = deployment();
    const parent = state.register({ ...BARE, custom: false, type: 'x:y:Group', name: 'group', protect: true });
    state.register({ ...BARE, name: 'silent', parent: parent.urn });
    state.register({ ...BARE, name: 'open', parent: parent.urn, protect: false });

    assert.equal(registered(state, 'silent').protect, true);
    assert.equal(registered(state, 'open').protect, false);
  });

  it('tells resources of one name under different parents apart', () => {
    const state = deployment();
    const one = state.register({ ...BARE, custom: false, type: 'x:y:One', name: 'group' });
    const two = state.register({ ...BARE, custom: false, type: 'x:y:Two', name: 'group' });
    state.register({ ...BARE, parent: one.urn });
    state.register({ ...BARE, parent: two.urn });

    assert.throws(() => state.register({ ...BARE, parent: two.urn }), /Duplicate resource URN/);
  });

  it('refuses a parent or provider that was never registered', () => {
    const state = deployment();
    assert.throws(() => state.register({ ...BARE, parent: 'urn:pulumi:dev::p::x:y:Gone::gone' }), /unknown parent/);
    assert.throws(() => state.register({ ...BARE, provider: 'urn:gone::id' }), /unknown provider/);
  });

  it('refuses a default provider only for the packages that were named', () => {
    const state = deployment(['aws']);
    state.register(BARE);
    assert.throws(() => state.register({ ...BARE, type: 'aws:s3/bucket:Bucket' }), /'aws' disabled/);
  });
});
