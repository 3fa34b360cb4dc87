import assert from 'node:assert/strict';
import path from 'node:path';
import { siteConfiguration } from '../../stacks/configuration';
import { readProject, readStackFile, stackConfiguration, stackNames } from '../engine/project-files';

const ROOT = path.resolve(__dirname, '../..');
const ENVIRONMENTS = ['dev', 'prod'];
const SITE_STACKS = stackNames(ROOT).filter((stack) => !ENVIRONMENTS.includes(stack));

interface CatalogueEntry {
  readonly id: string;
  readonly name: string;
  readonly accountId: string;
  readonly region: string;
}

const catalogue = (environment: string) =>
  readStackFile(ROOT, environment)['clara-federation:sites'] as readonly CatalogueEntry[];

describe('Pulumi.yaml', () => {
  const { config } = readProject(ROOT);

  it('gives every key a description and a default, because a key without one is demanded from every stack', () => {
    for (const [key, { description, default: value }] of Object.entries(config)) {
      assert.ok(description.length > 20, `${key}: ${description}`);
      assert.notEqual(value ?? undefined, undefined, `${key} has no default`);
    }
  });

  it('declares every key that a stack file sets', () => {
    for (const stack of stackNames(ROOT)) {
      for (const key of Object.keys(readStackFile(ROOT, stack))) {
        if (key.startsWith('clara-federation:')) assert.ok(key.split(':')[1] in config, `${stack}: ${key}`);
      }
    }
  });
});

describe('stack files', () => {
  it('exist for both environments and at least one site', () => {
    for (const environment of ENVIRONMENTS) assert.ok(stackNames(ROOT).includes(environment));
    assert.ok(SITE_STACKS.length > 0);
  });

  it('turn default AWS providers off in every stack', () => {
    for (const stack of stackNames(ROOT)) {
      assert.deepEqual(readStackFile(ROOT, stack)['pulumi:disable-default-providers'], ['aws'], stack);
    }
  });

  for (const stack of SITE_STACKS) {
    it(`${stack} is a valid site and agrees with the catalogue of its environment`, () => {
      const { environment, siteId, accountId, region } = siteConfiguration(stackConfiguration(ROOT, stack), stack);
      const entry = catalogue(environment).find(({ id }) => id === siteId);
      assert.deepEqual({ accountId: entry?.accountId, region: entry?.region }, { accountId, region });
    });
  }

  for (const environment of ENVIRONMENTS) {
    it(`${environment} has no site and no account twice in its catalogue`, () => {
      const sites = catalogue(environment);
      assert.equal(new Set(sites.map(({ id }) => id)).size, sites.length);
      assert.equal(new Set(sites.map(({ accountId }) => accountId)).size, sites.length);
    });
  }
});
