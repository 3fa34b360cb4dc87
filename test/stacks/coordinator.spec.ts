import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { operatorCommand } from '../../cli/commands/operator';
import type { ProgramRun } from '../engine/run-program';
import { containers, made, needs, ofType, one, planOf, policies, ROOT, rights } from './plans';

const SERVICE = 'aws:ecs/service:Service';
const SECRET = 'aws:secretsmanager/secret:Secret';

describe('coordinator stack', () => {
  let plan: ProgramRun;
  before(async () => {
    plan = await planOf('prod');
  });

  it('runs two coordinators in two zones, which keep nothing themselves and share the secrets', () => {
    const services = ofType(plan, SERVICE).map(({ inputs }) => inputs);
    const subnets = services.map(({ networkConfiguration }) => (networkConfiguration as { subnets: string[] }).subnets);
    assert.deepEqual(
      subnets.map((list) => list.length),
      [1, 1],
    );
    const zones = new Map(ofType(plan, 'aws:ec2/subnet:Subnet').map(({ id, inputs }) => [id, inputs.availabilityZone]));
    assert.equal(new Set(subnets.map(([subnet]) => zones.get(subnet))).size, 2);
    assert.deepEqual(ofType(plan, 'aws:efs/fileSystem:FileSystem'), []);
    const words = ['a', 'b'].map((name) => {
      const { volumes } = one(plan, 'aws:ecs/taskDefinition:TaskDefinition', `prod-coordinator-${name}`).inputs;
      assert.deepEqual(volumes, [{ name: 'scratch' }]);
      return containers(plan, `prod-coordinator-${name}`).find((each) => each.name === 'coordinator')!
        .command as string[];
    });
    for (const what of ['authority', 'operator']) {
      const { outputs, inputs } = one(plan, SECRET, `prod-coordinator-${what}`);
      assert.equal(inputs.kmsKeyId, one(plan, 'aws:kms/key:Key', 'prod-coordinator-key').outputs!.arn);
      for (const command of words) assert.equal(command[command.indexOf(`--${what}-secret`) + 1], outputs!.arn);
    }
  });

  it('gives the secrets no value, keeps them, and says how the operator is fetched', () => {
    assert.deepEqual(ofType(plan, 'aws:secretsmanager/secretVersion:SecretVersion'), []);
    for (const { name, protect, inputs } of ofType(plan, SECRET)) {
      assert.deepEqual([protect, inputs.recoveryWindowInDays], [true, 30], name);
    }
    const { arn } = one(plan, SECRET, 'prod-coordinator-operator').outputs!;
    const { fetchOperator } = plan.outputs!.Commands as Record<string, string>;
    assert.equal(fetchOperator, `clara-fed operator fetch --secret ${arn} --operator prod-operator`);
    const [, noun, verb, ...words] = fetchOperator.split(' ');
    const fetch = operatorCommand().commands.find((command) => command.name() === verb)!;
    assert.equal(operatorCommand().name(), noun);
    for (const word of words.filter((each) => each.startsWith('--'))) {
      assert.ok(
        fetch.options.some(({ long }) => long === word),
        word,
      );
    }
  });

  it('lets a coordinator read and write its two secrets, through Secrets Manager alone', () => {
    const arns = ['authority', 'operator'].map((what) => one(plan, SECRET, `prod-coordinator-${what}`).outputs!.arn);
    const own = rights(plan, 'prod-coordinator-a-task');
    const { Action, Resource } = own.find(({ Sid }) => Sid === 'KeepSecrets')!;
    assert.deepEqual([Action, Resource], [['secretsmanager:GetSecretValue', 'secretsmanager:PutSecretValue'], arns]);
    assert.deepEqual(own.find(({ Sid }) => Sid === 'EncryptSecrets')!.Condition, {
      StringEquals: {
        'kms:ViaService': 'secretsmanager.eu-west-2.amazonaws.com',
        'kms:EncryptionContext:SecretARN': arns,
      },
    });
  });

  it('updates the second coordinator only when the first is up again', () => {
    const [a, b] = ['a', 'b'].map((name) => one(plan, SERVICE, `prod-coordinator-${name}`));
    assert.equal(a.inputs.waitForSteadyState, true);
    assert.ok(b.dependencies.includes(a.urn));
    assert.ok(!needs(plan, a.urn).has(b.urn));
  });

  it('passes TLS through on the same port numbers inside and outside', () => {
    assert.equal(one(plan, 'aws:lb/loadBalancer:LoadBalancer').inputs.loadBalancerType, 'network');
    const targets = new Map(
      ofType(plan, 'aws:lb/targetGroup:TargetGroup').map(({ inputs, outputs }) => [outputs?.arn, inputs]),
    );
    const listeners = ofType(plan, 'aws:lb/listener:Listener').map(({ inputs }) => inputs);
    assert.deepEqual(listeners.map(({ port, protocol }) => `${protocol} ${port}`).sort(), [
      'TCP 8443',
      'TCP 8444',
      'TCP 9443',
      'TCP 9444',
    ]);
    for (const { port, defaultActions } of listeners) {
      const [{ targetGroupArn }] = defaultActions as { targetGroupArn: string }[];
      assert.equal(targets.get(targetGroupArn)?.port, port);
    }
  });

  it('starts each coordinator on the ports that it is reached by, and names both to its callers', () => {
    for (const [name, service, enrolment] of [
      ['a', 8443, 8444],
      ['b', 9443, 9444],
    ] as const) {
      const container = containers(plan, `prod-coordinator-${name}`).find((each) => each.name === 'coordinator')!;
      const words = (container.command as string[]).join(' ');
      assert.ok(words.includes(`--listen 0.0.0.0:${service} --enrolment 0.0.0.0:${enrolment}`), words);
      assert.ok(words.includes('--host-name fl.spleen-consortium.org'), words);
      assert.ok(words.includes('--advertise fl.spleen-consortium.org:8443 fl.spleen-consortium.org:9443'), words);
      assert.match(words, /--store s3:\/\/prod-store-[0-9a-f]{7}\/coordinator --store-kms-key arn:aws:kms:/);
      assert.deepEqual(
        (container.portMappings as { containerPort: number }[]).map(({ containerPort }) => containerPort),
        [service, enrolment],
      );
    }
  });

  it('lets in the endpoints of sites with a private link, one by one, and the addresses of the others', () => {
    const service = one(plan, 'aws:ec2/vpcEndpointService:VpcEndpointService').inputs;
    assert.equal(service.acceptanceRequired, true);
    assert.deepEqual(service.allowedPrincipals, ['arn:aws:iam::777788889999:root', 'arn:aws:iam::555566667777:root']);
    assert.deepEqual(service.supportedRegions, ['eu-central-1']);
    const group = one(plan, 'aws:ec2/securityGroup:SecurityGroup', 'prod-entrance').id;
    const open = ofType(plan, 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule')
      .map(({ inputs }) => inputs)
      .filter(({ securityGroupId }) => securityGroupId === group);
    assert.deepEqual([...new Set(open.map(({ cidrIpv4 }) => cidrIpv4))], ['10.0.0.0/16', '203.0.113.20/32']);
  });

  it('has fixed addresses when a site comes over the internet, and none otherwise', async () => {
    assert.equal((plan.outputs!.PublicCidrs as string[]).length, 2);
    const dev = await planOf('dev');
    assert.equal(one(dev, 'aws:lb/loadBalancer:LoadBalancer').inputs.internal, true);
    assert.deepEqual(dev.outputs?.PublicCidrs, []);
  });

  it('keeps journals and models: protected, versioned, with a key of their own that outlives the stack', () => {
    for (const [type, name] of [
      ['aws:s3/bucket:Bucket', 'prod-store'],
      ['aws:s3/bucket:Bucket', 'prod-store-audit'],
      ['aws:kms/key:Key', 'prod-store-key'],
      ['aws:kms/key:Key', 'prod-coordinator-key'],
    ]) {
      assert.equal(one(plan, type, name).protect, true, name);
    }
    for (const key of ['prod-store-key', 'prod-coordinator-key']) {
      assert.equal(one(plan, 'aws:kms/key:Key', key).retainOnDelete, true, key);
    }
  });

  it('keeps audit records that nobody can delete', () => {
    assert.equal(one(plan, 'aws:s3/bucket:Bucket', 'prod-store-audit').inputs.objectLockEnabled, true);
    const { rule } = one(plan, 'aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration').inputs;
    assert.deepEqual(rule, { defaultRetention: { mode: 'COMPLIANCE', days: 2557 } });
    assert.equal(one(plan, 'aws:cloudtrail/trail:Trail').inputs.enableLogFileValidation, true);
  });

  it('lets a coordinator work with objects of its store and do nothing to the bucket', () => {
    const actions = rights(plan, 'prod-coordinator-a-task')
      .flatMap(({ Action }) => Action ?? [])
      .filter((action) => action.startsWith('s3:'));
    assert.deepEqual(actions.sort(), [
      's3:AbortMultipartUpload',
      's3:DeleteObject',
      's3:GetObject',
      's3:GetObjectVersion',
      's3:ListBucket',
      's3:ListBucketMultipartUploads',
      's3:PutObject',
    ]);
    const page = readFileSync(path.join(ROOT, 'docs/operations.md'), 'utf8');
    const [, json] = /```json\n(\{\s+"Version"[\s\S]+?)```/.exec(page)!;
    const told = (JSON.parse(json) as { Statement: { Action: string[] }[] }).Statement.flatMap(({ Action }) => Action);
    assert.deepEqual(actions.sort(), told.filter((action) => action.startsWith('s3:')).sort());
  });

  it('mirrors every image in every region of its sites, for their accounts to pull by digest', () => {
    const repositories = ofType(plan, 'aws:ecr/repository:Repository').map(({ inputs }) => inputs);
    const inRegion = (region: string | undefined) =>
      repositories.filter((each) => each.region === region).map(({ name }) => name);
    assert.deepEqual(inRegion('eu-central-1'), inRegion(undefined));
    assert.equal(inRegion(undefined).length, 6);
    assert.ok(repositories.every(({ imageTagMutability }) => imageTagMutability === 'IMMUTABLE'));
    const [{ statements }] = policies(plan).filter(({ on }) => on === 'aws:ecr/repositoryPolicy:RepositoryPolicy');
    assert.deepEqual(statements[0].Principal, {
      AWS: ['555566667777', '777788889999', '888899990000'].map((account) => `arn:aws:iam::${account}:root`),
    });
    const replication = one(plan, 'aws:ecr/replicationConfiguration:ReplicationConfiguration');
    const urns = ofType(plan, 'aws:ecr/repository:Repository').map(({ urn }) => urn);
    for (const urn of urns) assert.ok(replication.dependencies.includes(urn), 'copies need their repositories first');
  });

  it('tells of a round that is stuck', () => {
    const { inputs } = one(plan, 'aws:cloudwatch/metricAlarm:MetricAlarm', 'prod-watch-round-stuck');
    assert.deepEqual([inputs.metricName, inputs.threshold], ['clara_open_stage_age_seconds', 24 * 3600]);
  });

  it('has no alarm of which docs/operations.md does not say what to do', () => {
    const page = readFileSync(path.join(ROOT, 'docs/operations.md'), 'utf8');
    const names = ofType(plan, 'aws:cloudwatch/metricAlarm:MetricAlarm').map(({ inputs }) => String(inputs.name));
    assert.ok(names.length >= 5);
    for (const name of names) assert.ok(page.includes(`\`${name.replace(/^prod-/, '')}\``), name);
  });

  it('has no public address but those of its entrance', () => {
    const addresses = made(plan)
      .filter(({ type }) => type === 'aws:ec2/eip:Eip')
      .map(({ name }) => name);
    assert.deepEqual(addresses.sort(), ['prod-entrance-euw2-az1', 'prod-entrance-euw2-az2', 'prod-network-1']);
  });
});
