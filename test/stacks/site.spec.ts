import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { planStack } from '../engine/plan';
import { Secret } from '../engine/property-values';
import type { ProgramRun } from '../engine/run-program';
import { containers, made, needs, ofType, one, planOf, policies, ROOT, rights } from './plans';

const STACK = 'dev-st-marys';

const SERVICE = 'aws:ecs/service:Service';
const LISTENER = 'aws:lb/listener:Listener';
const ENDPOINT = 'aws:ec2/vpcEndpoint:VpcEndpoint';

describe('site stack', () => {
  let plan: ProgramRun;
  before(async () => {
    plan = await planOf('prod-st-marys');
  });

  it('has outputs that can be used as they are', () => {
    const { DatasetBucketName, ElasticFileSystemDnsName, ClaraServiceUrl, SlicerServerUrl, Commands } =
      plan.outputs ?? {};
    assert.match(String(DatasetBucketName), /^st-marys-datasets-[0-9a-f]{7}$/);
    assert.match(String(ElasticFileSystemDnsName), /^fs-[0-9a-f]+\.efs\.eu-west-2\.amazonaws\.com$/);
    assert.ok(ClaraServiceUrl instanceof Secret, 'the address has a secret path');
    assert.match(
      String(ClaraServiceUrl.value),
      /^https:\/\/annotate\.st-marys\.example\.org\/st-marys\/[0-9a-f]{32}\/$/,
    );
    assert.deepEqual(SlicerServerUrl, ClaraServiceUrl);
    assert.match(String((Commands as Record<string, string>).preflight), /^aws ecs run-task --cluster st-marys-gpu-/);
  });

  it('has an agent that waits for its invitation in the secret that the command of its outputs fills', () => {
    const { putInvitation } = plan.outputs!.Commands as Record<string, string>;
    const [, secret] = /^aws secretsmanager put-secret-value --region eu-west-2 --secret-id (\S+) /.exec(
      putInvitation,
    )!;
    const { command } = containers(plan, 'st-marys-agent').find(({ name }) => name === 'agent')!;
    const words = command as readonly string[];
    assert.equal(words[words.indexOf('--invitation-secret') + 1], secret);
    const reads = rights(plan, 'st-marys-agent-task').filter(
      ({ Action }) => Action === 'secretsmanager:GetSecretValue',
    );
    assert.deepEqual(
      reads.map(({ Resource }) => Resource),
      [secret],
    );
  });

  it('denies access without TLS on everything that holds data', () => {
    for (const type of ['aws:s3/bucketPolicy:BucketPolicy', 'aws:efs/fileSystemPolicy:FileSystemPolicy']) {
      for (const { statements } of policies(plan).filter(({ on }) => on === type)) {
        const denied = statements.filter(({ Effect, Condition }) => {
          return Effect === 'Deny' && JSON.stringify(Condition) === '{"Bool":{"aws:SecureTransport":"false"}}';
        });
        assert.equal(denied.length, 1, type);
        assert.equal(denied[0].Principal, '*');
      }
    }
  });

  it('moved the stores of the first version below the site without making them anew', () => {
    for (const type of ['clara-federation:storage:DatasetBucket', 'clara-federation:storage:WorkspaceFileSystem']) {
      const { aliases, urn } = one(plan, type);
      assert.ok(urn.includes('clara-federation:site:ClaraSite$'));
      assert.equal(aliases.length, 1, type);
      assert.match(aliases[0], /"noparent":true/, 'it was at the top of the stack');
    }
  });

  it('opens no mount target before the policy of the file system is there', () => {
    const policy = one(plan, 'aws:efs/fileSystemPolicy:FileSystemPolicy');
    const mounts = ofType(plan, 'aws:efs/mountTarget:MountTarget');
    assert.equal(mounts.length, 2);
    for (const mount of mounts) assert.ok(mount.dependencies.includes(policy.urn), mount.urn);
  });

  it('deletes the key of the datasets only after the bucket, which S3 refuses while it holds objects', () => {
    const bucket = one(plan, 'aws:s3/bucket:Bucket', 'st-marys-datasets');
    assert.ok(bucket.dependencies.includes(one(plan, 'aws:kms/key:Key', 'st-marys-datasets-key').urn));
    assert.equal(bucket.inputs.forceDestroy, false);
  });

  it('destroys services before the capacity that they run on, whose instances are protected while they do', () => {
    for (const service of ofType(plan, SERVICE)) {
      const before = needs(plan, service.urn);
      for (const type of [
        'aws:ecs/clusterCapacityProviders:ClusterCapacityProviders',
        'aws:ecs/capacityProvider:CapacityProvider',
        'aws:autoscaling/group:Group',
        'aws:kms/grant:Grant',
        'aws:ecs/cluster:Cluster',
      ]) {
        assert.ok(before.has(one(plan, type).urn), `${service.name} does not wait for ${type}`);
      }
    }
    const provider = one(plan, 'aws:ecs/capacityProvider:CapacityProvider').inputs.autoScalingGroupProvider;
    assert.equal((provider as { managedTerminationProtection: string }).managedTerminationProtection, 'ENABLED');
    const group = one(plan, 'aws:autoscaling/group:Group');
    assert.equal(group.inputs.protectFromScaleIn, true, 'which termination protection demands');
    assert.equal(group.inputs.minSize, 0);
    assert.deepEqual(group.ignoreChanges, ['desiredCapacity']);
  });

  it('replaces GPU tasks one after the other, and rolls back a deployment that does not come up', () => {
    const { inputs } = one(plan, SERVICE, 'st-marys-annotation');
    assert.deepEqual([inputs.deploymentMinimumHealthyPercent, inputs.deploymentMaximumPercent], [0, 100]);
    assert.deepEqual(inputs.deploymentCircuitBreaker, { enable: true, rollback: true });
    assert.equal(inputs.availabilityZoneRebalancing, 'DISABLED', 'ECS refuses rebalancing with a maximum of 100 %');
  });

  it('starts instances that ask for a token, have an encrypted disk, and get the newest image with a driver', () => {
    const { inputs } = one(plan, 'aws:ec2/launchTemplate:LaunchTemplate', 'st-marys-gpu-g6');
    assert.equal((inputs.metadataOptions as { httpTokens: string }).httpTokens, 'required');
    const [{ ebs }] = inputs.blockDeviceMappings as { ebs: Record<string, unknown> }[];
    assert.deepEqual([ebs.encrypted, ebs.volumeType], ['true', 'gp3']);
    assert.equal(
      inputs.imageId,
      'resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id',
    );
    const script = Buffer.from(String(inputs.userData), 'base64').toString();
    assert.match(script, /^ECS_CLUSTER=st-marys-gpu-[0-9a-f]{7}$/m);
    assert.match(script, /^ECS_ENABLE_GPU_SUPPORT=true$/m);
  });

  it('speaks TLS 1.2 or newer, sends plain HTTP there, and waits for ten minutes', () => {
    const [http, https] = ['http', 'https'].map(
      (suffix) => one(plan, LISTENER, `st-marys-annotation-${suffix}`).inputs,
    );
    assert.equal(https.sslPolicy, 'ELBSecurityPolicy-TLS13-1-2-Res-2021-06');
    const [{ redirect }] = http.defaultActions as { redirect: Record<string, string> }[];
    assert.deepEqual([redirect.protocol, redirect.port], ['HTTPS', '443']);
    const { inputs } = one(plan, 'aws:lb/loadBalancer:LoadBalancer');
    assert.ok(Number(inputs.idleTimeout) >= 600);
    assert.equal((inputs.accessLogs as { enabled: boolean }).enabled, true);
    assert.equal(inputs.internal, true);
  });

  it('asks the annotation server whether it segments', () => {
    const { healthCheck } = one(plan, 'aws:lb/targetGroup:TargetGroup').inputs;
    assert.equal((healthCheck as { path: string }).path, '/health');
  });

  it('answers administration inside the network only', () => {
    const rules = ofType(plan, 'aws:lb/listenerRule:ListenerRule').map(({ inputs }) => inputs);
    const [inside, outside] = rules.sort((a, b) => Number(a.priority) - Number(b.priority));
    assert.ok(JSON.stringify(inside.conditions).includes('"sourceIp":{"values":["10.120.0.0/16"]}'));
    assert.ok(JSON.stringify(outside.actions).includes('"statusCode":"403"'));
  });

  it('passes administration on to nobody from a public load balancer, where no address is one of the network', async () => {
    const rules = ofType(await planOf('prod-leeds'), 'aws:lb/listenerRule:ListenerRule').map(({ inputs }) => inputs);
    assert.equal(rules.length, 1);
    assert.ok(JSON.stringify(rules[0].actions).includes('"statusCode":"403"'));
  });

  it('has a command that forwards a port to the annotation server in its task, as Session Manager names it', () => {
    const command = (plan.outputs!.Commands as Record<string, string>).administration;
    const bin = mkdtempSync(path.join(tmpdir(), 'clara-aws-'));
    try {
      // What the AWS CLI answers to the two questions; what it is asked in the end is printed.
      writeFileSync(
        path.join(bin, 'aws'),
        `#!/bin/sh
case "$2" in
  list-tasks) echo "arn:aws:ecs:eu-west-2:777788889999:task/st-marys-gpu-1/0123456789abcdef" ;;
  describe-tasks) case "$*" in *"--tasks arn:aws:ecs:eu-west-2:777788889999:task/st-marys-gpu-1/0123456789abcdef"*"name=='aiaa'"*) echo fedcba ;; esac ;;
  *) for word; do echo "$word"; done ;;
esac
`,
        { mode: 0o755 },
      );
      const environment = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` };
      const asked = execFileSync('sh', ['-euc', command], { encoding: 'utf8', env: environment }).trim().split('\n');
      const cluster = String(one(plan, 'aws:ecs/cluster:Cluster').outputs?.name);
      assert.deepEqual(asked, [
        ...['ssm', 'start-session', '--region', 'eu-west-2'],
        ...['--document-name', 'AWS-StartPortForwardingSession'],
        ...['--parameters', 'portNumber=5000,localPortNumber=5000'],
        ...['--target', `ecs:${cluster}_0123456789abcdef_fedcba`],
      ]);
    } finally {
      rmSync(bin, { recursive: true, force: true });
    }
  });

  it('lets only the people of the allow-list in', () => {
    const front = one(plan, 'aws:ec2/securityGroup:SecurityGroup', 'st-marys-annotation-front').id;
    const rules = ofType(plan, 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule')
      .map(({ inputs }) => inputs)
      .filter(({ securityGroupId }) => securityGroupId === front);
    const open = rules.map(({ cidrIpv4, fromPort }) => `${cidrIpv4} ${fromPort}`).sort();
    assert.deepEqual(open, ['10.120.0.0/16 443', '10.120.0.0/16 80', '10.121.0.0/16 443', '10.121.0.0/16 80']);
  });

  it('lets the agent start the training tasks of its site in its cluster, and hand over their roles only', () => {
    const statements = rights(plan, 'st-marys-agent-task');
    const start = statements.find(({ Sid }) => Sid === 'StartTraining')!;
    assert.deepEqual(start.Action, 'ecs:RunTask');
    assert.deepEqual(start.Resource, [
      'arn:aws:ecs:eu-west-2:777788889999:task-definition/prod-st-marys-trainer-monai-unet:*',
    ]);
    assert.match(JSON.stringify(start.Condition), /"ArnEquals":\{"ecs:cluster":"arn:aws:ecs:.*:cluster\/st-marys-gpu/);
    const handOver = statements.find(({ Sid }) => Sid === 'HandOverRoles')!;
    assert.deepEqual(
      [handOver.Resource ?? []].flat().map((arn) => arn.replace(/-[0-9a-f]{7}$/, '')),
      ['task', 'execution'].map(
        (kind) => `arn:aws:iam::777788889999:role/clara-federation/st-marys-training-monai-unet-${kind}`,
      ),
    );
  });

  it('writes a configuration that the agent accepts: its trainer is a task of the cluster', () => {
    const writer = containers(plan, 'st-marys-agent').find(({ name }) => name === 'configure')!;
    const variables = writer.environment as { name: string; value: string }[];
    const text = variables.find(({ name }) => name === 'CONFIGURATION')!.value;
    const { trainer, dataset } = checkSiteConfiguration(JSON.parse(text), '/');
    assert.ok(trainer.adapter === 'ecs-task');
    assert.equal(trainer.ecs.taskDefinition, 'prod-st-marys-trainer-monai-unet');
    assert.equal(trainer.ecs.container, containers(plan, 'st-marys-training-monai-unet')[0].name);
    assert.equal(dataset.path, '/training/datasets/Task09_Spleen');
  });

  it('has the bootstrap bring the MMAR that its agent trains, in a container that needs no program of ours', async () => {
    const { image } = containers(plan, 'st-marys-training-monai-unet')[0];
    const changes = {
      trainers: [{ name: 'clara', image, gpuFamily: 'g6', mmar: { folder: 'spleen', set: { amp: true } } }],
      preparation: { heldOut: 2, mmar: { from: 'mmars/spleen.zip', folder: 'spleen' }, model: { name: 'spleen' } },
    };
    const clara = await planOf('prod-st-marys', { changes });
    const [prepare] = containers(clara, 'st-marys-bootstrap-prepare');
    const configure = containers(clara, 'st-marys-agent').find(({ name }) => name === 'configure')!;
    const variables = configure.environment as { name: string; value: string }[];
    const text = variables.find(({ name }) => name === 'CONFIGURATION')!.value;
    const { trainer } = checkSiteConfiguration(JSON.parse(text), '/');
    assert.ok(trainer.adapter === 'mmar');
    assert.equal(trainer.ecs?.taskDefinition, 'prod-st-marys-trainer-clara');
    assert.deepEqual(trainer.mmar.set, { amp: true });
    const words = prepare.command as string[];
    assert.equal(words[words.indexOf('--mmar-into') + 1], trainer.mmar.folder);
    assert.match(words[words.indexOf('--mmar') + 1], /^s3:\/\/st-marys-datasets-[0-9a-f]+\/mmars\/spleen\.zip$/);
    assert.equal(words[words.indexOf('--held-out') + 1], '2');
  });

  it('lets the bootstrap read the objects of the dataset bucket, and on in the version that it opened', () => {
    const read = rights(plan, 'st-marys-bootstrap-prepare-task').find(({ Sid }) => Sid === 'DatasetsRead')!;
    assert.deepEqual(read.Action, ['s3:GetObject', 's3:GetObjectVersion']);
  });

  it('lets the preflight look at the cluster that its trainers run in, and do nothing there', () => {
    const actions = rights(plan, 'st-marys-bootstrap-preflight-task').filter(({ Action = [] }) =>
      [Action].flat().some((action) => action.startsWith('ecs:')),
    );
    const cluster = one(plan, 'aws:ecs/cluster:Cluster').outputs!.arn;
    assert.deepEqual(
      actions.map(({ Action, Resource }) => [[Action].flat(), Resource]),
      [[['ecs:DescribeClusters'], cluster]],
    );
  });

  it('lets a trainer reach its room of the workspace and nothing of AWS but its shell', () => {
    const actions = rights(plan, 'st-marys-training-monai-unet-task').flatMap(({ Action }) => Action ?? []);
    assert.deepEqual(
      actions.filter((action) => !action.startsWith('ssmmessages:')),
      ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
    );
  });

  it('lets the agent reach the coordinator, and nobody reach the agent', () => {
    const agent = one(plan, 'aws:ec2/securityGroup:SecurityGroup', 'st-marys-agent').id;
    const rules = (direction: string) =>
      ofType(plan, `aws:vpc/securityGroup${direction}Rule:SecurityGroup${direction}Rule`)
        .map(({ inputs }) => inputs)
        .filter(({ securityGroupId }) => securityGroupId === agent);
    assert.deepEqual(rules('Ingress'), []);
    const ports = rules('Egress').map(({ fromPort }) => fromPort);
    assert.deepEqual(ports.sort(), [443, 8443, 8444, 9443, 9444]);
  });

  it('names alarms after the stack', () => {
    const names = ofType(plan, 'aws:cloudwatch/metricAlarm:MetricAlarm').map(({ inputs }) => String(inputs.name));
    assert.ok(names.length >= 6);
    for (const name of names) assert.match(name, /^prod-st-marys-/);
    assert.equal(new Set(names).size, names.length);
  });

  it('has no alarm of which docs/operations.md does not say what to do', () => {
    const page = readFileSync(path.join(ROOT, 'docs/operations.md'), 'utf8');
    for (const { inputs } of ofType(plan, 'aws:cloudwatch/metricAlarm:MetricAlarm')) {
      const name = String(inputs.name).slice('prod-st-marys-'.length);
      assert.ok(page.includes(`| \`${name.replace(/^(gpu-idle)-.*/, '$1-FAMILY')}\` |`), name);
    }
  });

  it('sends the annotation server to sleep at night, and no deployment wakes it up', () => {
    const actions = ofType(plan, 'aws:appautoscaling/scheduledAction:ScheduledAction').map(({ inputs }) => inputs);
    assert.deepEqual(actions.map(({ schedule }) => schedule).sort(), ['cron(0 20 * * ? *)', 'cron(0 7 ? * MON-FRI *)']);
    assert.deepEqual(one(plan, SERVICE, 'st-marys-annotation').ignoreChanges, ['desiredCount']);
  });
});

describe('site stack: isolated, in another region than the coordinator', () => {
  let plan: ProgramRun;
  before(async () => {
    plan = await planOf('prod-charite');
  });

  it('has two zones by name, private subnets, and no way to the internet', () => {
    const subnets = ofType(plan, 'aws:ec2/subnet:Subnet').map(({ inputs }) => inputs);
    // The zone that is called "a" in this account is the second one by id.
    assert.deepEqual(
      subnets.map(({ availabilityZone, cidrBlock }) => `${availabilityZone} ${cidrBlock}`),
      ['eu-central-1b 10.80.0.0/23', 'eu-central-1a 10.80.2.0/23'],
    );
    assert.ok(subnets.every(({ mapPublicIpOnLaunch }) => mapPublicIpOnLaunch === false));
    for (const type of ['route:Route', 'natGateway:NatGateway', 'eip:Eip']) {
      assert.deepEqual(ofType(plan, `aws:ec2/${type}`), [], type);
    }
  });

  it('gives the children of the remote VPC the provider of the site', () => {
    const provider = one(plan, 'pulumi:providers:aws').urn;
    for (const { provider: used } of ofType(plan, 'aws:ec2/subnet:Subnet')) assert.equal(used, provider);
  });

  it('reaches AWS through the endpoints that its tasks need, and no other', () => {
    const services = ofType(plan, ENDPOINT)
      .map(({ inputs }) => String(inputs.serviceName).replace('com.amazonaws.eu-central-1.', ''))
      .filter((service) => !service.startsWith('com.amazonaws.vpce'));
    assert.deepEqual(services.sort(), [
      'ec2messages',
      'ecr.api',
      'ecr.dkr',
      'ecs',
      'ecs-agent',
      'ecs-telemetry',
      'elasticfilesystem',
      'kms',
      'logs',
      'monitoring',
      's3',
      'secretsmanager',
      'ssm',
      'ssmmessages',
      'sts',
    ]);
  });

  it('opens no port to anywhere outside, not even outwards', () => {
    for (const { inputs, urn } of ofType(plan, 'aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule')) {
      assert.notEqual(inputs.cidrIpv4, '0.0.0.0/0', urn);
    }
  });

  it('reaches the coordinator by PrivateLink across regions, under the name in its certificate', () => {
    const link = one(plan, ENDPOINT, 'charite-link').inputs;
    assert.equal(link.serviceRegion, 'eu-west-2');
    assert.equal(one(plan, 'aws:route53/zone:Zone').inputs.name, 'fl.spleen-consortium.org');
    const [{ name }] = one(plan, 'aws:route53/record:Record').inputs.aliases as { name: string }[];
    assert.match(name, /^vpce-/);
  });

  it('logs its flows', () => {
    assert.equal(one(plan, 'aws:ec2/flowLog:FlowLog').inputs.trafficType, 'ALL');
  });

  it('shows the same in a preview, but for what only AWS knows: nothing is decided by what is known later', async () => {
    const urns = (run: ProgramRun) => run.resources.map(({ urn }) => urn).sort();
    assert.deepEqual(urns(await planOf('prod-charite', { mode: 'preview' })), urns(plan));
  });
});

describe('site stack: public, on p3', () => {
  let plan: ProgramRun;
  before(async () => {
    plan = await planOf('prod-leeds');
  });

  it('warns that p3 is legacy, and gives it the image that still has its driver', () => {
    const warnings = plan.logs.filter(({ severity }) => severity === 'warning').map(({ message }) => message);
    assert.equal(warnings.filter((message) => /^GPU family p3: the V100/.test(message)).length, 1);
    const { inputs } = one(plan, 'aws:ec2/launchTemplate:LaunchTemplate', 'leeds-gpu-p3');
    assert.match(String(inputs.imageId), /amazon-linux-2\/gpu/);
  });

  it('has one NAT gateway, and only the load balancer has public subnets', () => {
    assert.equal(ofType(plan, 'aws:ec2/natGateway:NatGateway').length, 1);
    const isPublic = new Set(
      ofType(plan, 'aws:ec2/subnet:Subnet')
        .filter(({ inputs }) => inputs.mapPublicIpOnLaunch === true)
        .map(({ id }) => id),
    );
    const { subnets } = one(plan, 'aws:lb/loadBalancer:LoadBalancer').inputs;
    assert.deepEqual(new Set(subnets as string[]), isPublic);
    const elsewhere = made(plan).filter(
      ({ type }) => !/loadBalancer|aws:ec2\/(subnet|route|natGateway|eip)/.test(type),
    );
    for (const { inputs, urn } of elsewhere) {
      for (const id of isPublic) assert.ok(!JSON.stringify(inputs).includes(id), urn);
    }
  });

  it("serves with NVIDIA's container, and asks it for its models", () => {
    const [aiaa] = containers(plan, 'leeds-annotation');
    assert.ok((aiaa.command as string[]).includes('start_aiaa.sh'));
    assert.equal(
      (one(plan, 'aws:lb/targetGroup:TargetGroup').inputs.healthCheck as { path: string }).path,
      '/v1/models',
    );
  });

  it('has a bastion without a public address and without an open port', () => {
    const { inputs } = one(plan, 'aws:ec2/instance:Instance');
    assert.equal(inputs.associatePublicIpAddress, false);
    const group = one(plan, 'aws:ec2/securityGroup:SecurityGroup', 'leeds-bastion').id;
    const open = ofType(plan, 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule').filter(
      (rule) => rule.inputs.securityGroupId === group,
    );
    assert.deepEqual(open, []);
  });
});

describe('site stack: plain HTTP for de-identified images', () => {
  it('has one listener, and says so in its address', async () => {
    const plan = await planOf(STACK);
    assert.deepEqual(
      ofType(plan, LISTENER).map(({ inputs }) => inputs.protocol),
      ['HTTP'],
    );
    assert.match(String((plan.outputs!.ClaraServiceUrl as Secret).value), /^http:\/\/internal-clara-/);
  });
});

describe('site stack: switching the retention of the workspace', () => {
  const RETAINED = [
    'aws:efs/backupPolicy:BackupPolicy',
    'aws:efs/fileSystem:FileSystem',
    'aws:efs/fileSystemPolicy:FileSystemPolicy',
    'aws:kms/key:Key',
  ];
  let off: ProgramRun;
  let on: ProgramRun;
  before(async () => {
    off = await planOf(STACK);
    on = await planOf(STACK, { changes: { retainWorkspaceOnDelete: true } });
  });

  it('changes no input of any resource, so nothing is updated or replaced', () => {
    const inputs = ({ resources }: ProgramRun) =>
      Object.fromEntries(resources.map((resource) => [resource.urn, resource.inputs]));
    assert.deepEqual(inputs(on), inputs(off));
  });

  it('keeps the data together with what guards them: key, policy and backups', () => {
    const retained = (run: ProgramRun) => run.resources.filter(({ retainOnDelete }) => retainOnDelete);
    assert.deepEqual(
      retained(on)
        .map(({ type }) => type)
        .sort(),
      RETAINED,
    );
    assert.ok(retained(on).every(({ name }) => name.startsWith('st-marys-workspace')));
    assert.deepEqual(retained(off), []);
  });
});

describe('site stack: in another partition, with a key that exists already', () => {
  const keyArn = 'arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/5d6c';
  const image = `444455556666.dkr.ecr.us-gov-west-1.amazonaws.com/x@sha256:${'0'.repeat(64)}`;
  let plan: ProgramRun;
  before(async () => {
    const changes = {
      region: 'us-gov-west-1',
      deploymentRoleArn: 'arn:aws-us-gov:iam::111122223333:role/deploy',
      subnets: { 'usgw1-az1': 'subnet-0a1b2c3d4e5f60711', 'usgw1-az2': 'subnet-0a1b2c3d4e5f60722' },
      datasetKeyArn: keyArn,
      images: { aiaa: image, agent: image, collector: image },
      trainers: [{ name: 'monai-unet', image, gpuFamily: 'g6' }],
    };
    plan = await planOf(STACK, { changes, partition: 'aws-us-gov' });
  });

  it('writes no ARN of the commercial partition', () => {
    const text = JSON.stringify([plan.resources, plan.outputs]);
    assert.ok(text.includes('arn:aws-us-gov:'));
    assert.ok(!text.includes('arn:aws:'));
  });

  it('makes no key for the datasets and uses the given one', () => {
    assert.ok(!ofType(plan, 'aws:kms/key:Key').some(({ name }) => name === 'st-marys-datasets-key'));
    const { inputs } = one(
      plan,
      'aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration',
      'st-marys-datasets-encryption',
    );
    assert.ok(JSON.stringify(inputs.rules).includes(keyArn));
    assert.equal(plan.outputs?.DatasetKeyArn, keyArn);
  });
});

describe('two hospitals in one account and region', () => {
  /** Names that AWS keeps unique in an account and region, where the program says them. */
  const NAMES = ['name', 'family', 'dashboardName', 'bucket', 'roleName', 'aliasName'] as const;

  it('collide with nothing', async () => {
    const first = await planOf(STACK);
    const second = await planOf('dev-charite');
    const names = (run: ProgramRun) =>
      made(run)
        // Of a private zone only its own network sees the name.
        .filter(({ type }) => !type.startsWith('aws:route53/'))
        .flatMap(({ type, inputs }) =>
          NAMES.flatMap((key) => (typeof inputs[key] === 'string' ? [`${type} ${inputs[key]}`] : [])),
        );
    const taken = new Set(names(first));
    // What belongs to one bucket or role repeats that one's name, which is unique itself.
    assert.deepEqual(
      names(second).filter((name) => taken.has(name)),
      [],
    );
    assert.ok(taken.size > 8);
  });
});

describe('site stack: what is refused before anything is made', () => {
  it('a wrong configuration, with all of its faults and without a stack trace', async () => {
    const changes = { accountId: '42', vpcId: 'default', retainWorkspace: true, dataAreDeidentified: false };
    const run = await planStack({ root: ROOT, stack: STACK, changes });
    assert.notEqual(run.exitCode, 0);
    assert.deepEqual(
      run.resources.filter(({ type }) => type !== 'pulumi:pulumi:Stack'),
      [],
    );
    const message = run.logs.map(({ message: text }) => text).join('\n');
    assert.match(message, /clara-federation:accountId \("42"\)/);
    assert.match(message, /clara-federation:vpcId \("default"\)/);
    assert.match(message, /clara-federation:retainWorkspace \((?:"true"|true)\): is not known here/);
    assert.match(message, /clara-federation:insecureHttp \(true\): sends images in clear/);
    assert.doesNotMatch(message, /\n\s+at /);
  });
});
