import assert from 'node:assert/strict';
import path from 'node:path';
import fc from 'fast-check';
import { DeploymentInputError } from '../../components/faults';
import { siteConfiguration } from '../../stacks/configuration';
import { stackRole } from '../../stacks/role';
import { stackConfiguration } from '../engine/project-files';

const ROOT = path.resolve(__dirname, '../..');
const STACK = 'dev-st-marys';

const configured = (changes: Readonly<Record<string, unknown>> = {}, stack = STACK) =>
  siteConfiguration(stackConfiguration(ROOT, STACK, changes), stack);

function refusal(changes: Readonly<Record<string, unknown>>, stack = STACK): DeploymentInputError {
  try {
    configured(changes, stack);
  } catch (error) {
    assert.ok(error instanceof DeploymentInputError, String(error));
    return error;
  }
  assert.fail('it was accepted');
}

const paths = ({ faults }: DeploymentInputError) => faults.map((fault) => fault.path.replace('clara-federation:', ''));

describe('configuration of a site stack', () => {
  it('has types: numbers, switches and maps are no longer text', () => {
    const site = configured();
    assert.equal(site.datasetNoncurrentVersionDays, 7);
    assert.equal(site.retainWorkspaceOnDelete, false);
    assert.deepEqual(Object.keys(site.subnets), ['euw2-az1', 'euw2-az2']);
  });

  it('takes an empty optional key as absent', () => {
    assert.equal(configured({ datasetKeyArn: '' }).datasetKeyArn, undefined);
  });

  it('is refused with every fault at once: key, value and rule', () => {
    const error = refusal({
      environment: 'test',
      accountId: '1.11122223333e+11',
      region: 'London',
      vpcId: '',
      subnets: { 'eu-west-2a': 'subnet-0a1b2c3d4e5f60711' },
      datasetNoncurrentVersionDays: 0,
      keepWorkspace: true,
    });
    for (const path of ['environment', 'accountId', 'region', 'vpcId', 'subnets.eu-west-2a', 'subnets']) {
      assert.ok(paths(error).includes(path), `${path} is missing in ${error.message}`);
    }
    assert.ok(paths(error).includes('keepWorkspace'), 'a key that nobody reads is a fault');
    assert.match(error.message, /clara-federation:accountId \("1\.11122223333e\+11"\): must be the 12 digits/);
    assert.match(error.message, /clara-federation:datasetNoncurrentVersionDays \(0\): must be at least 1 day/);
    assert.match(error.message, /^The configuration of stack dev-st-marys has \d+ faults:\n/);
  });

  it('must belong to the stack that it is used for', () => {
    assert.deepEqual(paths(refusal({}, 'prod-st-marys')), ['siteId']);
  });

  it('must deploy with a role of the account of the site', () => {
    const error = refusal({ deploymentRoleArn: 'arn:aws:iam::999988887777:role/deploy' });
    assert.deepEqual(paths(error), ['deploymentRoleArn']);
    assert.match(error.message, /must be a role in account 111122223333/);
  });

  it('must encrypt with a key of the region of the bucket', () => {
    const error = refusal({ datasetKeyArn: 'arn:aws:kms:eu-west-1:111122223333:key/5d6c' });
    assert.deepEqual(paths(error), ['datasetKeyArn']);
  });

  it('keeps the names of buckets within the 63 characters of S3, or refuses the site id', () => {
    const parts = fc.array(fc.stringMatching(/^[a-z0-9]{1,8}$/), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(parts, (words) => {
        const siteId = words.join('-');
        try {
          configured({ siteId }, `dev-${siteId}`);
        } catch (error) {
          assert.ok(error instanceof DeploymentInputError);
          assert.ok(siteId.length < 2 || siteId.length > 31 || /^\d/.test(siteId), `${siteId} was refused`);
          return;
        }
        // The engine appends a hyphen and seven hexadecimal digits.
        const bucket = `${siteId}-datasets-0123456`;
        assert.match(bucket, /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/);
      }),
    );
  });
});

describe('role of a stack', () => {
  const role = (value: string) => stackRole({ 'clara-federation:role': value }, 'dev');

  it('may be site', () => {
    assert.equal(role('site'), 'site');
  });

  for (const later of ['coordinator', 'organization']) {
    it(`is refused when it is ${later}, saying what this version deploys`, () => {
      assert.throws(() => role(later), {
        message: new RegExp(`clara-federation:role \\(${later}\\): this version deploys only sites`),
      });
    });
  }

  it('is refused when it is missing or unknown', () => {
    assert.throws(() => role(''), /clara-federation:role: must be site/);
    assert.throws(() => role('hospital'), /clara-federation:role \(hospital\): must be site/);
  });
});
