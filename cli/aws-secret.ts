import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ClaraError, type ErrorCode, showValue } from '../base/errors';
import type { Secret } from '../fl-coordinator/trust/secret';

/**
 * Secrets Manager user guide, "What's in a secret": the ARN ends with the name and six characters that AWS adds. The region of
 * a secret is asked whatever region the program runs in.
 */
const SECRET_ARN = /^arn:aws[a-z-]*:secretsmanager:(?<region>[a-z0-9-]+):\d{12}:secret:[\w/+=.@-]{1,519}$/;

type Failures = Readonly<Record<string, readonly [code: ErrorCode, mend: string]>>;

/** What a failure means, by the name that AWS gives it, and the way out. */
const FAILURES: Failures = {
  InvalidRequestException: ['not-found', 'is being deleted; restore it with `aws secretsmanager restore-secret`'],
  CredentialsProviderError: ['permission-denied', 'needs AWS credentials, and none were found'],
};
const OF_READING: Failures = {
  ...FAILURES,
  ResourceNotFoundException: [
    'not-found',
    'is not there, or has no value yet; put one in with `aws secretsmanager put-secret-value`',
  ],
  AccessDeniedException: [
    'permission-denied',
    'may not be read by this program; its role needs secretsmanager:GetSecretValue on it',
  ],
  DecryptionFailure: [
    'permission-denied',
    'cannot be decrypted by this program; its role needs kms:Decrypt on its key',
  ],
};
const OF_WRITING: Failures = {
  ...FAILURES,
  ResourceNotFoundException: ['not-found', 'is not there; the stack that names it makes it'],
  AccessDeniedException: [
    'permission-denied',
    'may not be written by this program; its role needs secretsmanager:PutSecretValue on it',
  ],
  EncryptionFailure: [
    'permission-denied',
    'cannot be encrypted by this program; its role needs kms:GenerateDataKey and kms:Decrypt on its key',
  ],
};

/**
 * PutSecretValue with a token that a version has already does nothing when the text is the same, and is refused with
 * ResourceExistsException when it is another (API reference, "PutSecretValue"): with one token for all, the first one wins.
 */
const FIRST_VALUE_TOKEN = 'first-value-of-this-secret-by-clara-federation';

/**
 * The text of a secret of AWS Secrets Manager. A program reads its secrets itself when it starts, with its own role, so that
 * none is in an environment, where every process of the container and every description of it can see it.
 *
 * @throws ClaraError `invalid-input`, `not-found`, `permission-denied`, `corrupt`, `unavailable`; no message has the secret
 */
export async function readSecret(option: string, arn: string, signal: AbortSignal): Promise<string> {
  const text = await awsSecret(option, arn, signal).read();
  if (text !== undefined) return text;
  const [code, mend] = OF_READING.ResourceNotFoundException!;
  throw new ClaraError(code, `the secret of ${option}, ${arn}, ${mend}`);
}

/**
 * A secret of AWS Secrets Manager, for a program that keeps it.
 * @param option the option that names it, for sentences
 * @param answerMillis how long each attempt waits for AWS
 * @throws ClaraError `invalid-input` for what is no ARN of a secret
 */
export function awsSecret(option: string, arn: string, signal: AbortSignal, answerMillis = ANSWER_MILLIS): Secret {
  const region = SECRET_ARN.exec(arn)?.groups?.region;
  if (region === undefined) throw notAnArn(option, arn);
  const failure = (failures: Failures, what: string, thrown: unknown): ClaraError => {
    signal.throwIfAborted();
    const { name, message } = thrown instanceof Error ? thrown : { name: '', message: String(thrown) };
    const [code, mend] = failures[name] ?? ['unavailable', `cannot be ${what}: ${message}`];
    return new ClaraError(code, `the secret of ${option}, ${arn}, ${mend}`, { cause: thrown });
  };
  const where = { region, answerMillis };
  const put = (text: string, token?: string) =>
    withClient(where, (client, { PutSecretValueCommand }) =>
      client.send(new PutSecretValueCommand({ SecretId: arn, SecretString: text, ClientRequestToken: token }), {
        abortSignal: signal,
      }),
    );
  return {
    name: arn,
    read: async () => {
      const answer = await withClient(where, (client, { GetSecretValueCommand }) =>
        client.send(new GetSecretValueCommand({ SecretId: arn }), { abortSignal: signal }),
      ).catch((thrown: unknown) => {
        if (thrown instanceof Error && thrown.name === 'ResourceNotFoundException') return undefined;
        throw failure(OF_READING, 'read', thrown);
      });
      if (answer === undefined) return undefined;
      const text = answer.SecretString?.trim() ?? '';
      if (text !== '') return text;
      throw new ClaraError('corrupt', `the secret of ${option}, ${arn}, is empty, or is not text`);
    },
    putFirst: (text) =>
      put(text, FIRST_VALUE_TOKEN).then(
        () => true,
        (thrown: unknown) => {
          if (thrown instanceof Error && thrown.name === 'ResourceExistsException') return false;
          throw failure(OF_WRITING, 'written', thrown);
        },
      ),
    put: async (text) => {
      await put(text).catch((thrown: unknown) => {
        throw failure(OF_WRITING, 'written', thrown);
      });
    },
  };
}

/**
 * For an answer to each of the SDK's three attempts: a standby that takes over reads a secret, and whoever found none looks
 * again; neither may hang on a line that is dead.
 */
const ANSWER_MILLIS = 10_000;

/** The SDK's limit on a request ends when an answer begins; that on the socket holds within it. */
const patience = (answerMillis: number) => ({
  connectionTimeout: 3000,
  requestTimeout: answerMillis,
  throwOnRequestTimeout: true,
  socketTimeout: answerMillis,
});

type Sdk = typeof import('@aws-sdk/client-secrets-manager');

/** Loaded when it is needed: most starts need no secret. */
async function withClient<T>(
  { region, answerMillis }: { readonly region: string; readonly answerMillis: number },
  work: (client: SecretsManagerClient, sdk: Sdk) => Promise<T>,
): Promise<T> {
  // The SDK is pinned, so that what later releases of it will need says nothing to whoever reads the log.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const sdk = require('@aws-sdk/client-secrets-manager') as Sdk;
  const client = new sdk.SecretsManagerClient({ region, requestHandler: patience(answerMillis) });
  try {
    return await work(client, sdk);
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
