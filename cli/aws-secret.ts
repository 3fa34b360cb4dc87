import { ClaraError, type ErrorCode, showValue } from '../base/errors';

/**
 * Secrets Manager user guide, "What's in a secret": the ARN ends with the name and six characters that AWS adds. The region of
 * a secret is asked whatever region the program runs in.
 */
const SECRET_ARN = /^arn:aws[a-z-]*:secretsmanager:(?<region>[a-z0-9-]+):\d{12}:secret:[\w/+=.@-]{1,519}$/;

/** What a failure means, by the name that AWS gives it, and the way out. */
const FAILURES: Readonly<Record<string, readonly [code: ErrorCode, mend: string]>> = {
  ResourceNotFoundException: [
    'not-found',
    'is not there, or has no value yet; put one in with `aws secretsmanager put-secret-value`',
  ],
  InvalidRequestException: ['not-found', 'is being deleted; restore it with `aws secretsmanager restore-secret`'],
  AccessDeniedException: [
    'permission-denied',
    'may not be read by this program; its role needs secretsmanager:GetSecretValue on it',
  ],
  DecryptionFailure: [
    'permission-denied',
    'cannot be decrypted by this program; its role needs kms:Decrypt on its key',
  ],
  CredentialsProviderError: ['permission-denied', 'needs AWS credentials, and none were found'],
};

/**
 * The text of a secret of AWS Secrets Manager. A program reads its secrets itself when it starts, with its own role, so that
 * none is in an environment, where every process of the container and every description of it can see it.
 *
 * @throws ClaraError `invalid-input`, `not-found`, `permission-denied`, `unavailable`; no message has the secret
 */
export async function readSecret(option: string, arn: string, signal: AbortSignal): Promise<string> {
  const region = SECRET_ARN.exec(arn)?.groups?.region;
  if (region === undefined) throw notAnArn(option, arn);
  // The SDK is pinned, so that what later releases of it will need says nothing to whoever reads the log.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  // Loaded when it is needed: most starts need no secret.
  const { GetSecretValueCommand, SecretsManagerClient } =
    require('@aws-sdk/client-secrets-manager') as typeof import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({ region });
  try {
    const command = new GetSecretValueCommand({ SecretId: arn });
    const { SecretString } = await client.send(command, { abortSignal: signal }).catch((thrown: unknown) => {
      signal.throwIfAborted();
      const { name, message } = thrown instanceof Error ? thrown : { name: '', message: String(thrown) };
      const [code, mend] = FAILURES[name] ?? ['unavailable', `cannot be read: ${message}`];
      throw new ClaraError(code, `the secret of ${option}, ${arn}, ${mend}`, { cause: thrown });
    });
    const text = SecretString?.trim() ?? '';
    if (text !== '') return text;
    throw new ClaraError('not-found', `the secret of ${option}, ${arn}, is empty, or is not text`);
  } finally {
    client.destroy();
  }
}

/**
 * The name of a secret, by which people find it: its ARN has six characters of AWS behind that.
 * @throws ClaraError `invalid-input` for what is no ARN of a secret
 */
export function secretName(option: string, arn: string): string {
  if (SECRET_ARN.test(arn)) return arn.slice(arn.lastIndexOf(':') + 1).replace(/-\w{6}$/, '');
  throw notAnArn(option, arn);
}

function notAnArn(option: string, arn: string): ClaraError {
  return new ClaraError(
    'invalid-input',
    `${option} ${showValue(arn, 200)} must be the ARN of a secret, arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`,
  );
}
