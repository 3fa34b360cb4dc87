import assert from 'node:assert/strict';
import { authorityInSecret } from '../../../fl-coordinator/trust/authority-home';
import { openSharedAuthority } from '../../../fl-coordinator/trust/shared-authority';
import { MemorySecret } from './support/memory-secret';
import { MemoryStore } from './support/memory-store';

const PARTS = ['issuer.key.pem', 'issuer.pem', 'root.key.pem', 'root.pem'];

describe('an authority in a secret', () => {
  let secret: MemorySecret;
  let store: MemoryStore;
  beforeEach(() => {
    secret = new MemorySecret();
    store = new MemoryStore();
  });

  const open = (federation = 'fed') => openSharedAuthority(authorityInSecret(secret), store.port, { federation });
  const parts = () => JSON.parse(secret.value!) as Record<string, unknown>;

  it('is made by the first coordinator, read by the others, and is in the store by its fingerprint alone', async () => {
    const first = await open();
    assert.deepEqual(Object.keys(parts()).sort(), [...PARTS, 'v']);
    assert.equal((await open()).rootFingerprint, first.rootFingerprint);
    assert.equal(secret.values.length, 1);
    assert.doesNotMatch(store.dump(), /PRIVATE/);
  });

  it('is one, when several start at once and some see late what another has put', async () => {
    secret.lateBy = 4;
    const opened = await Promise.all([open(), open(), open()]);
    assert.equal(new Set(opened.map(({ rootFingerprint }) => rootFingerprint)).size, 1);
    assert.equal(secret.values.length, 1);
  });

  it('needs no key of the root once it exists', async () => {
    const { rootFingerprint } = await open();
    const { 'root.key.pem': _offline, ...rest } = parts();
    await secret.put(JSON.stringify(rest));
    const again = await open();
    assert.equal(again.rootFingerprint, rootFingerprint);
    assert.match((await again.issueForServer(['localhost'])).keyPem, /PRIVATE KEY/);
  });

  it('is not made again when the secret was lost, and another one is refused: both with the way out', async () => {
    await open();
    secret = new MemorySecret();
    await assert.rejects(open(), {
      code: 'precondition-failed',
      message:
        /^the store has a federation already, but the secret arn:of:a:secret does not hold .*--authority-secret ARN\), or put the value of a backup into it$/,
    });
    assert.deepEqual(secret.values, []);
    await openSharedAuthority(authorityInSecret(secret), new MemoryStore().port, { federation: 'fed' });
    await assert.rejects(open(), { code: 'precondition-failed', message: /the store belongs to the one with root/ });
  });

  it('is refused whole when its value is damaged: one sentence, nothing written, and no word of the value', async () => {
    await open();
    const whole = parts();
    const lines = String(whole['issuer.key.pem']).split('\n');
    const damaged: readonly (readonly [value: string, sentence: RegExp])[] = [
      ['hunter2', /does not hold a certificate authority, which is JSON/],
      [secret.value!.slice(0, -20), /does not hold a certificate authority/],
      [JSON.stringify({ ...whole, 'issuer.pem': undefined }), /does not hold a certificate authority/],
      [JSON.stringify({ ...whole, 'issuer.pem': whole['issuer.key.pem'] }), /issuer\.pem in .* is not a certificate/],
      [
        JSON.stringify({ ...whole, 'issuer.key.pem': [lines[0], lines[1]!.slice(4), ...lines.slice(2)].join('\n') }),
        /issuer\.key\.pem in .* is not a P-256 key/,
      ],
      [JSON.stringify({ ...whole, 'issuer.key.pem': whole['root.key.pem'] }), /do not belong together/],
    ];
    const material = PARTS.flatMap((name) => String(whole[name]).split('\n').slice(1, 3));
    for (const [value, sentence] of damaged) {
      await secret.put(value);
      const count = secret.values.length;
      await assert.rejects(open(), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'corrupt');
        assert.match(error.message, sentence);
        assert.match(error.message, /^[^\n]*arn:of:a:secret[^\n]*$/);
        const told = `${error.message} ${String(error.cause)}`;
        for (const word of ['hunter2', ...material]) assert.ok(!told.includes(word), told);
        return true;
      });
      assert.equal(secret.values.length, count);
    }
  });

  it('of another federation is refused', async () => {
    await open();
    await assert.rejects(open('another'), {
      code: 'invalid-input',
      message: /has the authority of another federation/,
    });
  });
});
