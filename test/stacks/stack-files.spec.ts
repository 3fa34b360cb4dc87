import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readProject, readStackFile, stackConfiguration, stackNames } from '../../fleet/project-files';
import { keysOfOtherRoles } from '../../stacks/all-keys';
import type { SiteEntry } from '../../stacks/catalogue';
import { siteConfiguration } from '../../stacks/configuration';
import { coordinatorConfiguration } from '../../stacks/coordinator-configuration';
import { siteStackFile, siteStackName } from '../../stacks/site-stack-file';

const ROOT = path.resolve(__dirname, '../..');
const ENVIRONMENTS = ['dev', 'prod'];

const environmentOf = (name: string) =>
  coordinatorConfiguration(stackConfiguration(ROOT, name), name, keysOfOtherRoles('coordinator'));

describe('Pulumi.yaml', () => {
  const { config } = readProject(ROOT);

  it('gives every key a description and a default, because a key without one is demanded from every stack', () => {
    for (const [key, { description, default: value }] of Object.entries(config)) {
      assert.ok(description.length > 20, `${key}: ${description}`);
      assert.notEqual(value ?? undefined, undefined, `${key} has no default`);
    }
  });

  it('declares every key that a stack file sets, and no key that no role has', () => {
    for (const stack of stackNames(ROOT)) {
      for (const key of Object.keys(readStackFile(ROOT, stack))) {
        if (key.startsWith('clara-federation:')) assert.ok(key.split(':')[1] in config, `${stack}: ${key}`);
      }
    }
    const known = new Set((['site', 'coordinator', 'organization'] as const).flatMap(keysOfOtherRoles));
    const shared = [
      'role',
      'accountId',
      'region',
      'deploymentRoleArn',
      'alarmEmail',
      'monthlyBudgetUsd',
      'logRetentionDays',
    ];
    for (const key of Object.keys(config)) assert.ok(known.has(key) || shared.includes(key), key);
  });
});

describe('stack files', () => {
  it('turn default AWS providers off in every stack', () => {
    for (const stack of stackNames(ROOT)) {
      assert.deepEqual(readStackFile(ROOT, stack)['pulumi:disable-default-providers'], ['aws'], stack);
    }
  });

  it('are those of the organisation, the environments, and the sites of their catalogues', () => {
    const sites = ENVIRONMENTS.flatMap((name) => environmentOf(name).sites.map(({ id }) => siteStackName(name, id)));
    assert.deepEqual(stackNames(ROOT).sort(), ['org', ...ENVIRONMENTS, ...sites].sort());
  });

  for (const name of ENVIRONMENTS) {
    for (const site of environmentOf(name).sites) {
      const stack = siteStackName(name, site.id);

      it(`${stack} is what the catalogue says, and a valid site`, () => {
        const file = path.join(ROOT, `Pulumi.${stack}.yaml`);
        const text = siteStackFile(environmentOf(name), site);
        if (process.env.UPDATE_STACK_FILES === '1') writeFileSync(file, text);
        assert.equal(readFileSync(file, 'utf8'), text, `${file} differs; UPDATE_STACK_FILES=1 writes it anew`);
        siteConfiguration(stackConfiguration(ROOT, stack), stack, keysOfOtherRoles('site'));
      });
    }

    it(`${name} has no site and no account twice in its catalogue`, () => {
      const { sites } = environmentOf(name);
      assert.equal(new Set(sites.map(({ id }) => id)).size, sites.length);
      assert.equal(new Set(sites.map(({ accountId }) => accountId)).size, sites.length);
    });
  }

  it('cannot be written for an entry that lacks its account, repeats what follows, or names what is not there', () => {
    const site: SiteEntry = {
      id: 'north',
      name: 'North',
      accountEmail: 'a@b.example',
      region: 'eu-west-2',
      link: 'private',
      egressCidrs: [],
      settings: { region: 'eu-west-1', speed: 9, trainers: [{ name: 'x', image: 'x', gpuFamily: 'g6' }] },
    };
    assert.throws(
      () => siteStackFile(environmentOf('dev'), site),
      (error: Error) => {
        for (const part of [
          /accountId: is not known yet/,
          /settings\.region: follows/,
          /settings\.speed: is no key/,
          /imageDigests\.x/,
        ]) {
          assert.match(error.message, part);
        }
        return true;
      },
    );
  });
});
