import assert from 'node:assert/strict';
import path from 'node:path';
import fc from 'fast-check';
import { DeploymentInputError } from '../../components/faults';
import { stackConfiguration } from '../../fleet/project-files';
import { keysOfOtherRoles } from '../../stacks/all-keys';
import { siteConfiguration } from '../../stacks/configuration';
import { stackRole } from '../../stacks/role';

const ROOT = path.resolve(__dirname, '../..');
const STACK = 'dev-st-marys';

const configured = (changes: Readonly<Record<string, unknown>> = {}, stack = STACK) =>
  siteConfiguration(stackConfiguration(ROOT, STACK, changes), stack, keysOfOtherRoles('site'));

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
    for (const path of ['environment', 'accountId', 'region', 'zones', 'subnets.eu-west-2a', 'subnets']) {
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

  for (const [rule, changes, path] of [
    ['plain HTTP only with de-identified data', { dataAreDeidentified: false }, 'insecureHttp'],
    ['a certificate for HTTPS', { insecureHttp: false, serviceHostName: 'a.example.org' }, 'certificateArn'],
    [
      'a host name for HTTPS',
      { insecureHttp: false, certificateArn: `arn:aws:acm:eu-west-2:111122223333:certificate/0a-1` },
      'serviceHostName',
    ],
    ['public subnets for a public load balancer', { loadBalancer: 'public' }, 'publicSubnets'],
    ['no zones beside an existing network', { zones: ['euw2-az1', 'euw2-az2'] }, 'zones'],
    ['somebody who may come', { clientCidrs: [] }, 'clientCidrs'],
    ['addresses without bits beyond their prefix', { clientCidrs: ['10.120.0.1/16'] }, 'clientCidrs.0'],
    ['a way to the coordinator', { coordinatorEndpointService: '' }, 'coordinatorEndpointService'],
    ['one way to the coordinator', { coordinatorCidrs: ['198.51.100.1/32'] }, 'coordinatorCidrs'],
    ['a GPU family that exists', { gpuFamilies: { g4: 1 } }, 'gpuFamilies.g4'],
    ['capacity for the annotation server', { annotationGpuFamily: 'g5' }, 'annotationGpuFamily'],
    ['capacity for the trainers', { gpuFamilies: { g5: 1 } }, 'trainers.0.gpuFamily'],
    ['a retention that CloudWatch has', { logRetentionDays: 31 }, 'logRetentionDays'],
    [
      'night hours in a time zone',
      { nightHours: { from: '22:00', to: '6', timezone: 'Mars/Base' } },
      'nightHours.timezone',
    ],
    ['a dataset for what is prepared', { dataset: '', preparation: { heldOut: 3 } }, 'preparation'],
    ['a model to serve', { dataset: 'd', preparation: { model: { name: 'spleen' } } }, 'preparation.model.from'],
    [
      'keys of its own bucket',
      { dataset: 'd', preparation: { mmar: { from: 's3://x/y', folder: 'f' } } },
      'preparation.mmar.from',
    ],
    [
      'to bring the MMAR that it trains',
      { trainers: [{ name: 'm', image: 'i', gpuFamily: 'g6', mmar: { folder: 'spleen' } }] },
      'trainers.0.mmar.folder',
    ],
    ['images by digest', { images: { aiaa: 'aiaa:latest', agent: 'x', collector: 'y' } }, 'images.aiaa'],
  ] as const) {
    it(`needs ${rule}`, () => {
      assert.ok(paths(refusal(changes)).includes(path), refusal(changes).message);
    });
  }

  it('needs a private load balancer and a private link in an isolated network', () => {
    const isolated = { networkEgress: 'isolated', vpcId: '', subnets: {}, zones: ['euw2-az1', 'euw2-az2'] };
    const error = refusal({
      ...isolated,
      loadBalancer: 'public',
      coordinatorEndpointService: '',
      coordinatorCidrs: ['198.51.100.1/32'],
    });
    assert.deepEqual(paths(error).sort(), ['loadBalancer', 'networkEgress']);
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

  for (const name of ['coordinator', 'organization']) {
    it(`may be ${name}`, () => {
      assert.equal(role(name), name);
    });
  }

  it('is refused when it is missing or unknown', () => {
    assert.throws(() => role(''), /clara-federation:role: must be one of site, coordinator, organization/);
    assert.throws(() => role('hospital'), /clara-federation:role \(hospital\): must be one of site/);
  });
});
