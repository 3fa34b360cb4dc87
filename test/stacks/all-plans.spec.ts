import assert from 'node:assert/strict';
import { madeRolesBoundary } from '../../components/organization/made-roles';
import { RCP_MOST_CHARACTERS } from '../../components/organization/service-control-policies';
import { STAR_REASONS } from '../../components/star-reasons';
import { stackNames } from '../../fleet/project-files';
import { Secret } from '../engine/property-values';
import type { ProgramRun } from '../engine/run-program';
import { assertReviewedPlan, made, ofType, planOf, policies, ROOT, rights } from './plans';

/** The most characters of each kind of document, white space left out as AWS does (IAM, S3, KMS and Organizations quotas). */
const MOST_CHARACTERS: Readonly<Record<string, number>> = {
  'aws:iam/rolePolicy:RolePolicy': 10_240,
  'aws:iam/policy:Policy': 6_144,
  'aws:iam/role:Role': 2_048,
  'aws:organizations/policy:Policy': RCP_MOST_CHARACTERS,
};

for (const stack of stackNames(ROOT)) {
  describe(`plan of ${stack}`, () => {
    let plan: ProgramRun;
    before(async () => {
      plan = await planOf(stack);
    });

    it('makes exactly what the reviewed plan shows', () => {
      assertReviewedPlan(plan, stack);
    });

    it('gives every resource an explicit provider, which refuses any account but its own', () => {
      const providers = new Map(ofType(plan, 'pulumi:providers:aws').map(({ urn, inputs }) => [urn, inputs]));
      assert.ok(made(plan).length > 10);
      for (const { urn, provider } of made(plan)) {
        const inputs = providers.get(provider ?? '');
        assert.ok(inputs !== undefined, `${urn} has provider ${provider}`);
        assert.match(String(inputs.allowedAccountIds), /^\["\d{12}"\]$/);
      }
    });

    it('puts every resource under a component and names it after the stack', () => {
      const components = new Set(plan.resources.filter(({ custom }) => !custom).map(({ urn }) => urn));
      const owners = new Set([...components, ...made(plan).map(({ urn }) => urn)]);
      for (const { urn, parent } of made(plan)) assert.ok(owners.has(parent), urn);
      const root = plan.resources.find(({ type }) => type === 'pulumi:pulumi:Stack')!.urn;
      assert.deepEqual(
        made(plan).filter(({ parent }) => parent === root),
        [],
      );
    });

    it('ends every component by registering its outputs', () => {
      for (const { type, urn, outputs } of plan.resources) {
        if (type.startsWith('clara-federation:')) assert.notEqual(outputs, undefined, urn);
      }
    });

    it('gives no task a right that the boundary of tasks would take away', () => {
      const ceiling = madeRolesBoundary('aws', '111122223333').Statement.flatMap(({ Action = [] }) => Action);
      for (const { name, inputs } of ofType(plan, 'aws:iam/role:Role')) {
        if (!/policy\/clara-federation-deployment-roles$/.test(String(inputs.permissionsBoundary))) continue;
        assert.deepEqual(
          rights(plan, name).flatMap(({ Action = [] }) =>
            [Action].flat().filter((action) => !ceiling.includes(action)),
          ),
          [],
          `${name}: add it in components/organization/made-roles.ts`,
        );
      }
    });

    it('allows with a star only where a reason is written down', () => {
      for (const { on, name, statements } of policies(plan)) {
        for (const { Sid, Effect, Principal, Action = [], Resource = [] } of statements) {
          if (Effect !== 'Allow') continue;
          const wide = [Action].flat().some((action) => action === '*' || /^[a-z-]+:\*$/.test(action));
          const star = Principal === '*' || wide || [Resource].flat().includes('*');
          if (star) assert.ok(Sid in STAR_REASONS, `${on} ${name}: ${Sid}`);
        }
      }
    });

    it('keeps every document below the size that AWS takes', () => {
      for (const { on, name, text } of policies(plan)) {
        assert.ok(text.length <= (MOST_CHARACTERS[on] ?? 20_000), `${on} ${name} has ${text.length} characters`);
      }
    });

    it('names no resource type that the provider has deprecated', () => {
      for (const { type, urn } of plan.resources) assert.doesNotMatch(type, /V2$/, urn);
    });

    it('keeps every bucket closed, versioned and encrypted, and rotates every key', () => {
      const buckets = ofType(plan, 'aws:s3/bucket:Bucket').length;
      for (const part of [
        'BucketPublicAccessBlock',
        'BucketVersioning',
        'BucketServerSideEncryptionConfiguration',
        'BucketPolicy',
      ]) {
        const type = `aws:s3/${part[0].toLowerCase()}${part.slice(1)}:${part}`;
        assert.equal(ofType(plan, type).length, buckets, part);
      }
      for (const { inputs, urn } of ofType(plan, 'aws:kms/key:Key')) assert.equal(inputs.enableKeyRotation, true, urn);
    });

    it('forgets logs after a while, and encrypts them with a key of its own', () => {
      for (const { inputs, urn } of ofType(plan, 'aws:cloudwatch/logGroup:LogGroup')) {
        assert.ok(Number(inputs.retentionInDays) >= 30, urn);
        assert.match(String(inputs.kmsKeyId), /:key\//, urn);
      }
    });

    it('lets nobody in from everywhere', () => {
      for (const { inputs, urn } of ofType(plan, 'aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule')) {
        assert.notEqual(inputs.cidrIpv4, '0.0.0.0/0', urn);
        assert.ok('cidrIpv4' in inputs || 'referencedSecurityGroupId' in inputs, urn);
      }
    });

    it('renders containers as ECS answers them: no nulls, sorted variables, explicit empty lists', () => {
      for (const { inputs, urn } of ofType(plan, 'aws:ecs/taskDefinition:TaskDefinition')) {
        const text = String(inputs.containerDefinitions);
        assert.ok(!text.includes(':null'), urn);
        for (const container of JSON.parse(text) as Record<string, unknown>[]) {
          assert.deepEqual(Object.keys(container), Object.keys(container).sort(), urn);
          for (const list of [
            'environment',
            'secrets',
            'mountPoints',
            'portMappings',
            'volumesFrom',
            'systemControls',
          ]) {
            assert.ok(Array.isArray(container[list]), `${urn} ${list}`);
          }
          const names = (container.environment as { name: string }[]).map(({ name }) => name);
          assert.deepEqual(names, [...names].sort(), urn);
        }
      }
    });

    it('mounts file systems by access point with IAM and TLS, at their root, and lets a shell in', () => {
      for (const { inputs } of ofType(plan, 'aws:ecs/taskDefinition:TaskDefinition')) {
        for (const { efsVolumeConfiguration: efs } of inputs.volumes as {
          efsVolumeConfiguration?: Record<string, unknown>;
        }[]) {
          if (efs === undefined) continue;
          assert.equal(efs.transitEncryption, 'ENABLED');
          assert.equal(efs.rootDirectory, '/');
          assert.equal((efs.authorizationConfig as { iam: string }).iam, 'ENABLED');
        }
      }
      const tasks = policies(plan).filter(
        ({ on, name }) => on === 'aws:iam/rolePolicy:RolePolicy' && name.endsWith('-task'),
      );
      for (const { name, statements } of tasks)
        assert.ok(
          statements.some(({ Sid }) => Sid === 'ShellChannel'),
          name,
        );
    });

    it('shows no secret', () => {
      const text = JSON.stringify(plan.resources.map(({ inputs }) => inputs));
      for (const { inputs } of ofType(plan, 'aws:secretsmanager/secretVersion:SecretVersion')) {
        assert.ok(inputs.secretString instanceof Secret);
        assert.ok(!text.includes(String(inputs.secretString.value)));
      }
    });
  });
}
