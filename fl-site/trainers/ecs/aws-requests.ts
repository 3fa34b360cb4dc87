import { ClaraError, type ErrorCode } from '../../../base/errors';
import { backoffMillis, type Pacing } from '../../backoff';

/**
 * Requests to ECS and CloudWatch, tried again with full jitter when they were throttled or got no answer. The SDK's own
 * retries are off: these here end with the task's signal, and say what was asked for.
 */

const MAX_ATTEMPTS = 8;
const PAUSES = { firstMillis: 400, maxMillis: 20_000 };

/** https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html */
const PASSING = new Set([
  'ThrottlingException',
  'Throttling',
  'ThrottledException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'RequestTimeout',
  'ServerException',
  'InternalFailure',
  'InternalServerError',
  'ServiceUnavailable',
  'ServiceUnavailableException',
  'TimeoutError',
]);

const BY_NAME: Readonly<Record<string, readonly [code: ErrorCode, mend: string]>> = {
  ClusterNotFoundException: [
    'invalid-input',
    'check trainer.ecs.cluster, trainer.ecs.region and, when it is in another account, trainer.ecs.role',
  ],
  InvalidParameterException: ['invalid-input', 'check trainer.ecs in the site configuration'],
  ClientException: ['invalid-input', 'check trainer.ecs in the site configuration'],
  PlatformTaskDefinitionIncompatibilityException: ['invalid-input', 'check trainer.ecs.taskDefinition'],
  AccessDeniedException: [
    'permission-denied',
    'give the agent the rights that docs/operations.md lists for trainers as ECS tasks',
  ],
  AccessDenied: [
    'permission-denied',
    'check that the role of trainer.ecs.role lets this agent take it, and what that role may do',
  ],
  UnrecognizedClientException: ['permission-denied', 'check what the default credential chain finds'],
  InvalidSignatureException: ['permission-denied', 'check what the default credential chain finds, and the clock'],
  ExpiredTokenException: ['permission-denied', 'check what the default credential chain finds'],
  CredentialsProviderError: ['permission-denied', 'no AWS credentials were found; give some to the agent'],
  BlockedException: ['permission-denied', 'AWS has blocked this account; ask AWS Support'],
};

/**
 * @param what what was tried, for the message
 * @throws ClaraError; `cause` is what the SDK threw
 */
export async function awsRequest<Answer>(
  what: string,
  pacing: Pacing,
  signal: AbortSignal,
  send: (options: { readonly abortSignal: AbortSignal }) => Promise<Answer>,
): Promise<Answer> {
  for (let failures = 0; ; failures++) {
    signal.throwIfAborted();
    try {
      return await send({ abortSignal: signal });
    } catch (thrown) {
      signal.throwIfAborted();
      if (!isPassing(thrown)) throw awsError(what, thrown);
      if (failures + 1 >= MAX_ATTEMPTS) throw new ClaraError('unavailable', told(what, thrown), { cause: thrown });
      await pacing.wait(backoffMillis(failures, pacing.random, PAUSES), signal);
    }
  }
}

/** The name that AWS gave to what was thrown, or to what the error of {@link awsRequest} comes from. */
export function awsName(thrown: unknown): string {
  const from = thrown instanceof ClaraError ? thrown.cause : thrown;
  return from instanceof Error ? from.name : '';
}

function isPassing(thrown: unknown): boolean {
  if (PASSING.has(awsName(thrown))) return true;
  const { $metadata, code } = thrown as { $metadata?: { httpStatusCode?: number }; code?: string };
  const status = $metadata?.httpStatusCode;
  if (status !== undefined) return status >= 500 || status === 429;
  return code !== undefined && ClaraError.from(thrown).code === 'unavailable';
}

function awsError(what: string, thrown: unknown): ClaraError {
  const known = BY_NAME[awsName(thrown)];
  if (known) return new ClaraError(known[0], `${told(what, thrown)}; ${known[1]}`, { cause: thrown });
  const { $metadata } = thrown as { $metadata?: object };
  if ($metadata) return new ClaraError('invalid-input', told(what, thrown), { cause: thrown });
  return ClaraError.from(thrown, what);
}

function told(what: string, thrown: unknown): string {
  const { name, message } = thrown instanceof Error ? thrown : { name: 'Error', message: String(thrown) };
  return `${what}: ${withoutArns(message)} (${name})`;
}

/** Messages travel to the coordinator: accounts and regions of the hospital do not. */
export function withoutArns(text: string): string {
  return text
    .replace(/arn:aws[a-z-]*:([a-z0-9-]+):[a-z0-9-]*:\d*:[^\s"',;)]*/g, '<$1>')
    .replace(/\b\d{12}\b/g, '<account>');
}
