import { allow, type Statement } from '../policy-document';

/** Rights of containers, as statements. Each names its resources; see `star-reasons.ts` for the few that cannot. */

/** A shell by ECS Exec runs with the rights of the task, so the task's own role needs these. */
export function shellChannel(): Statement {
  return allow(
    'ShellChannel',
    [
      'ssmmessages:CreateControlChannel',
      'ssmmessages:CreateDataChannel',
      'ssmmessages:OpenControlChannel',
      'ssmmessages:OpenDataChannel',
    ],
    '*',
  );
}

/**
 * Mounts a file system by access points, and by these only.
 *
 * @param readOnly the client may not write, whatever the folder's permissions say
 */
export function mountWorkspace(fileSystemArn: string, accessPointArns: readonly string[], readOnly = false): Statement {
  return allow(
    'MountWorkspace',
    ['elasticfilesystem:ClientMount', ...(readOnly ? [] : ['elasticfilesystem:ClientWrite'])],
    fileSystemArn,
    { StringEquals: { 'elasticfilesystem:AccessPointArn': accessPointArns } },
  );
}

/** Objects as they are, and in a bucket that keeps versions the one that was opened, which is a right of its own (S3 API, GetObject). */
export function readObjects(sid: string, bucketArn: string, keyArn: string): Statement[] {
  return [
    allow(`${sid}List`, 's3:ListBucket', bucketArn),
    allow(`${sid}Read`, ['s3:GetObject', 's3:GetObjectVersion'], `${bucketArn}/*`),
    allow(`${sid}Decrypt`, 'kms:Decrypt', keyArn),
  ];
}

/** Reads one secret, and decrypts it on its way out of Secrets Manager and nothing else. */
export function readSecret(secretArn: string, keyArn: string, region: string): Statement[] {
  return [
    allow('ReadSecret', 'secretsmanager:GetSecretValue', secretArn),
    allow('DecryptSecret', 'kms:Decrypt', keyArn, throughSecretsManager(secretArn, region)),
  ];
}

/** Reads secrets and gives them values; their key is used for them alone. */
export function keepSecrets(secretArns: readonly string[], keyArn: string, region: string): Statement[] {
  return [
    allow('KeepSecrets', ['secretsmanager:GetSecretValue', 'secretsmanager:PutSecretValue'], secretArns),
    allow('EncryptSecrets', ['kms:Decrypt', 'kms:GenerateDataKey'], keyArn, throughSecretsManager(secretArns, region)),
  ];
}

/** Secrets Manager user guide, "Secret encryption and decryption". */
function throughSecretsManager(secretArn: string | readonly string[], region: string): Statement['Condition'] {
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  return {
    StringEquals: {
      'kms:ViaService': `secretsmanager.${region}.${suffix}`,
      'kms:EncryptionContext:SecretARN': secretArn,
    },
  };
}

/** What ECS itself does before a container runs: fetch the image, open the log. */
export interface ExecutionRights {
  /** Repositories of the images, whatever account they are in. */
  readonly repositoryArns: readonly string[];
  readonly logGroupArn: string;
}

export function executionStatements(rights: ExecutionRights): Statement[] {
  const { repositoryArns, logGroupArn } = rights;
  return [
    allow('RegistryToken', 'ecr:GetAuthorizationToken', '*'),
    ...(repositoryArns.length === 0
      ? []
      : [
          allow(
            'PullImages',
            ['ecr:BatchCheckLayerAvailability', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchGetImage'],
            repositoryArns,
          ),
        ]),
    allow('WriteLog', ['logs:CreateLogStream', 'logs:PutLogEvents'], `${logGroupArn}:*`),
  ];
}

/** What the preflight asks of a trainer that runs as a task. */
export function lookAtCluster(clusterArn: string): Statement {
  return allow('LookAtCluster', 'ecs:DescribeClusters', clusterArn);
}

/** Starts, watches and ends the given tasks in one cluster, and hands them exactly the given roles. */
export function runTasks(clusterArn: string, families: readonly string[], roleArns: readonly string[]): Statement[] {
  const [prefix] = clusterArn.split(':cluster/');
  const name = clusterArn.slice(clusterArn.indexOf(':cluster/') + ':cluster/'.length);
  const inCluster = { ArnEquals: { 'ecs:cluster': clusterArn } };
  return [
    allow(
      'StartTraining',
      'ecs:RunTask',
      families.map((family) => `${prefix}:task-definition/${family}:*`),
      inCluster,
    ),
    allow('WatchTraining', ['ecs:DescribeTasks', 'ecs:StopTask'], `${prefix}:task/${name}/*`, inCluster),
    allow('FindTraining', 'ecs:ListTasks', '*', inCluster),
    lookAtCluster(clusterArn),
    allow('TagTraining', 'ecs:TagResource', `${prefix}:task/${name}/*`, {
      StringEquals: { 'ecs:CreateAction': 'RunTask' },
    }),
    allow('HandOverRoles', 'iam:PassRole', roleArns, {
      StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
    }),
  ];
}
