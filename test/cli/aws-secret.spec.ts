import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { awsSecret, readSecret } from '../../cli/aws-secret';
import { AwsServer } from '../support/aws-server';
import { S3_CREDENTIALS } from '../support/s3-server';
import { SecretsServer } from '../support/secrets-server';

const REGION = 'eu-west-2';

/** What Secrets Manager promises, of moto and of the stand-in that journeys use. */
describe('a secret of AWS', () => {
  const variables = ['AWS_ENDPOINT_URL', ...Object.keys(S3_CREDENTIALS)];
  let earlier: readonly (readonly [string, string | undefined])[];
  const pointTo = (endpoint: string) => {
    earlier = variables.map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, S3_CREDENTIALS, { AWS_ENDPOINT_URL: endpoint });
  };
  const pointBack = () => {
    for (const [name, value] of earlier) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  const at = (arn: string) => awsSecret('--it', arn, new AbortController().signal);

  for (const kind of ['moto', 'the stand-in'] as const) {
    describe(`at ${kind}`, function () {
      this.timeout(60_000);
      let stop: () => Promise<void>;
      let make: (name: string) => Promise<string>;
      before(async function () {
        if (kind === 'moto') {
          const moto = await AwsServer.start(this);
          pointTo(moto.endpoint);
          make = async (Name) => (await send(new CreateSecretCommand({ Name }))).ARN!;
          stop = () => moto.stop();
        } else {
          const server = await SecretsServer.start();
          pointTo(server.endpoint);
          make = async (name) => server.make(name);
          stop = () => server.stop();
        }
      });
      after(async () => {
        if (!stop) return;
        pointBack();
        await stop();
      });

      it('has no value at first, then the first one that was put, whoever else tries', async () => {
        const secret = at(await make('first'));
        assert.equal(await secret.read(), undefined);
        assert.equal(await secret.putFirst('one'), true);
        assert.equal(await secret.putFirst('two'), false);
        assert.equal(await secret.read(), 'one');
        // An answer that was lost, and asked for again.
        assert.equal(await secret.putFirst('one'), true);
      });

      it('has a first value once for ever, also after it was replaced', async () => {
        const secret = at(await make('replaced'));
        assert.equal(await secret.putFirst('one'), true);
        await secret.put('two');
        await secret.put('three');
        assert.equal(await secret.putFirst('four'), false);
        assert.equal(await secret.read(), 'three');
      });

      it('that is not there reads as one without a value, and refuses to be written', async () => {
        const secret = at('arn:aws:secretsmanager:eu-west-2:111122223333:secret:nothing-a1B2c3');
        assert.equal(await secret.read(), undefined);
        await assert.rejects(secret.putFirst('one'), { code: 'not-found', message: /is not there; the stack/ });
      });
    });
  }

  describe('in trouble', function () {
    this.timeout(60_000);
    let server: SecretsServer;
    before(async () => {
      server = await SecretsServer.start();
      pointTo(server.endpoint);
    });
    after(async () => {
      pointBack();
      await server.stop();
    });

    it('says which right is missing, and never the value', async () => {
      const arn = server.make('trouble');
      for (const [refusal, reading, writing] of [
        ['AccessDeniedException', /needs secretsmanager:GetSecretValue/, /needs secretsmanager:PutSecretValue/],
        ['InvalidRequestException', /is being deleted; restore it/, /is being deleted; restore it/],
        ['DecryptionFailure', /needs kms:Decrypt/, /cannot be written/],
        ['EncryptionFailure', /cannot be read/, /needs kms:GenerateDataKey/],
      ] as const) {
        server.refuses = refusal;
        await assert.rejects(at(arn).read(), (error: Error) => reading.test(error.message));
        for (const write of [at(arn).putFirst('hunter2'), at(arn).put('hunter2')]) {
          await assert.rejects(write, (error: Error) => {
            assert.match(error.message, writing);
            assert.ok(!error.message.includes('hunter2'));
            return true;
          });
        }
      }
      server.refuses = undefined;
    });

    it('without a value is an error for whoever only reads', async () => {
      const arn = server.make('empty');
      const read = readSecret('--it', arn, new AbortController().signal);
      await assert.rejects(read, { code: 'not-found', message: /has no value yet; put one in/ });
    });

    it('is not waited for on a line that has gone dead, before an answer or within one', async () => {
      let asked = 0;
      const silent = createServer((_request, response) => {
        // The SDK asks three times.
        if (asked++ < 3) return;
        response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1', 'content-length': '100' });
        response.write('{');
      });
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const endpoint = process.env.AWS_ENDPOINT_URL!;
      process.env.AWS_ENDPOINT_URL = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
      try {
        const arn = 'arn:aws:secretsmanager:eu-west-2:111122223333:secret:silent-a1B2c3';
        for (let i = 0; i < 2; i++) {
          const secret = awsSecret('--it', arn, new AbortController().signal, 100);
          await assert.rejects(secret.read(), { code: 'unavailable', message: /cannot be read: .*100 ms/ });
        }
        assert.ok(asked > 3);
      } finally {
        process.env.AWS_ENDPOINT_URL = endpoint;
        silent.closeAllConnections();
        await new Promise((resolve) => silent.close(resolve));
      }
    });

    it('is named by an ARN', () => {
      assert.throws(() => at('my-secret'), { code: 'invalid-input', message: /--it "my-secret" must be the ARN/ });
    });
  });
});

async function send(command: CreateSecretCommand) {
  const client = new SecretsManagerClient({ region: REGION });
  try {
    return await client.send(command);
  } finally {
    client.destroy();
  }
}
