import assert from 'node:assert/strict';
import { parseS3Address } from '../../../fl-coordinator/storage/store-address';
import { rejectsWith } from '../api/support/rejects';

describe('the address of a store in S3', () => {
  it('is a bucket, with or without a prefix', () => {
    for (const [text, bucket, prefix] of [
      ['s3://models', 'models', ''],
      ['s3://models/', 'models', ''],
      ['s3://fl.example.org/a/b_c', 'fl.example.org', 'a/b_c'],
      ['s3://models/spleen/', 'models', 'spleen'],
    ] as const) {
      const found = parseS3Address(text);
      assert.deepEqual([found.bucket, found.prefix], [bucket, prefix], text);
    }
  });

  it('is refused with all that is wrong with it', async () => {
    const parse = (...args: Parameters<typeof parseS3Address>) => (async () => parseS3Address(...args))();
    for (const text of ['', 'models', 's3:/models', 's3://', 's3://UPPER', 's3://ab', 'https://models', 's3://a b/c']) {
      await rejectsWith('invalid-input', parse(text), 's3://BUCKET');
    }
    for (const prefix of ['../x', '.store', 'a//b', 'ü', 'a b', 'x'.repeat(101)]) {
      await rejectsWith('invalid-input', parse(`s3://models/${prefix}`), 'prefix');
    }
    const error = await parse('s3://UPPER', { endpoint: 'ftp://x', kmsKeyId: 'a b' }).catch((thrown) => thrown);
    assert.deepEqual(
      error.faults.map(({ path }: { path: string }) => path),
      ['store', 'store-endpoint', 'store-kms-key'],
    );
  });

  it('sends nothing over plain HTTP to another machine, and no password in an address', async () => {
    const parse = async (endpoint: string) => parseS3Address('s3://models', { endpoint });
    for (const endpoint of [
      'https://s3.example.org',
      'http://127.0.0.1:9000',
      'http://localhost:1',
      'http://[::1]:1',
    ]) {
      assert.equal((await parse(endpoint)).endpoint, endpoint);
    }
    for (const endpoint of [
      'http://s3.example.org',
      'http://127.0.0.1.example.org',
      'https://u:p@s3.example.org',
      's3',
    ]) {
      await rejectsWith('invalid-input', parse(endpoint), 'store-endpoint');
    }
  });
});
