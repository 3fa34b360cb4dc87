import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import { certificatesIn, fingerprintOf } from '../../../federation/certificates';
import { type Credentials, formatCredentials, parseCredentials } from '../../../federation/credentials';
import { siteIdentity } from '../../../federation/identity';
import { provideOperator } from '../../../fl-coordinator/trust/first-operator';
import { type OperatorHome, operatorInFolder, operatorInSecret } from '../../../fl-coordinator/trust/operator-home';
import { COORDINATOR, FEDERATION, FederationFixture, issueDirectly } from './support/federation-fixture';
import { MemorySecret } from './support/memory-secret';

const DAY = 86400e3;
const forbidden = (thrown: unknown) => assert.fail(String(thrown));

describe("the first operator's credentials", () => {
  let fed: FederationFixture;
  let secret: MemorySecret;
  let failures: ClaraError[];
  let stopLast: () => void;

  beforeEach(async () => {
    fed = await FederationFixture.open();
    secret = new MemorySecret();
    failures = [];
    stopLast = () => {};
  });
  afterEach(async () => {
    stopLast();
    await fed.close();
  });

  /** What a coordinator does that begins to lead. */
  const lead = async (home: OperatorHome = operatorInSecret(secret), coordinator = COORDINATOR) => {
    stopLast();
    const onFailure = (thrown: unknown) => failures.push(ClaraError.from(thrown));
    stopLast = await provideOperator(await reopened(), { home, coordinator, onFailure });
  };
  const reopened = async () => {
    fed.trust = await fed.reopen();
    return fed.trust;
  };
  const held = (): Credentials => parseCredentials(secret.value!, 'the secret');
  const isAdmitted = ({ identity, chainPem }: Credentials): boolean => {
    try {
      return fed.trust.register.admit(identity, fingerprintOf(certificatesIn(chainPem, 'it')[0])) === 'admin';
    } catch {
      return false;
    }
  };

  describe('in a secret', () => {
    it('are made once, and every later leader finds them', async () => {
      await lead();
      assert.ok(isAdmitted(held()));
      assert.equal(held().coordinator, COORDINATOR);
      await lead();
      assert.equal(secret.values.length, 1);
    });

    it('follow the addresses of the coordinators, with the same certificate', async () => {
      await lead();
      const { chainPem } = held();
      await lead(operatorInSecret(secret), 'a:1,b:2');
      assert.deepEqual([held().coordinator, held().chainPem], ['a:1,b:2', chainPem]);
    });

    it('are renewed ten days before they end, by whoever leads then', async () => {
      await lead();
      fed.clock = new Date(fed.clock.getTime() + 19 * DAY);
      await lead();
      assert.equal(secret.values.length, 1);
      fed.clock = new Date(fed.clock.getTime() + 1.5 * DAY);
      await lead();
      assert.equal(secret.values.length, 2);
      assert.ok(isAdmitted(held()));
    });

    it('are made anew when a leader died between the register and the secret, at the first time and later', async () => {
      secret.put = async () => {
        throw new ClaraError('unavailable', 'died here');
      };
      await assert.rejects(lead(), { code: 'unavailable' });
      assert.ok(fed.trust.register.hasOperators());
      assert.equal(secret.value, undefined);
      secret.put = MemorySecret.prototype.put;
      await lead();
      const first = secret.value!;
      assert.ok(isAdmitted(held()));

      await secret.put('{}');
      await lead();
      await secret.put(first);
      assert.ok(!isAdmitted(held()));
      await lead();
      assert.ok(isAdmitted(held()));
    });

    it('are made anew when somebody asks for that by {}, and the earlier ones are not admitted any more', async () => {
      await lead();
      const earlier = held();
      await secret.put('{}');
      await lead();
      assert.ok(isAdmitted(held()) && !isAdmitted(earlier));
    });

    it('are not written over when they are damaged: the coordinator leads and says so, without a word of them', async () => {
      await lead();
      const site = await issueDirectly(fed.trust, siteIdentity(FEDERATION, 'mary'));
      const { keyPem } = held();
      for (const damaged of [secret.value!.slice(0, -9), `"${keyPem.split('\n')[1]}"`, formatCredentials(site)]) {
        await secret.put(damaged);
        failures = [];
        await lead();
        assert.equal(secret.value, damaged);
        assert.equal(failures.length, 1);
        assert.match(failures[0]!.message, /^the secret arn:of:a:secret (does not hold|holds) [^\n]*$/);
        assert.ok(!`${failures[0]!.message} ${String(failures[0]!.cause)}`.includes(keyPem.split('\n')[1]!));
      }
    });

    it('do not keep a coordinator from leading when the secret is away, unless nobody has any yet', async () => {
      secret.failure = new ClaraError('unavailable', 'no answer');
      await assert.rejects(lead(), { message: 'no answer' });
      secret.failure = undefined;
      await lead();
      secret.failure = new ClaraError('unavailable', 'no answer');
      await lead();
      assert.deepEqual(
        failures.map(({ message }) => message),
        ['no answer'],
      );
    });

    it('stay away from an operator that was revoked', async () => {
      await lead();
      await fed.trust.register.revokeOperator('admin', 'left');
      await lead();
      assert.equal(secret.values.length, 1);
      assert.ok(!isAdmitted(held()));
    });
  });

  it('in a folder are not made again once an administrator has taken them elsewhere', async () => {
    const folder = path.join(fed.folder, 'operator');
    const home = operatorInFolder(folder);
    await lead(home);
    assert.ok(isAdmitted((await home.load())!));
    rmSync(folder, { recursive: true });
    await lead(home);
    assert.equal(await home.load(), undefined);
  });

  it('in a folder are made anew when the first leader died before the register knew of them', async () => {
    const home = operatorInFolder(path.join(fed.folder, 'operator'));
    const died = new ClaraError('unavailable', 'died here');
    const trust = await reopened();
    trust.register.operatorAdded = () => Promise.reject(died);
    await assert.rejects(provideOperator(trust, { home, coordinator: COORDINATOR, onFailure: forbidden }), died);
    await lead(home);
    assert.ok(isAdmitted((await home.load())!));
  });

  it('in a folder are there before the register knows of an operator', async () => {
    const home = operatorInFolder(path.join(fed.folder, 'operator'));
    const trust = await reopened();
    const { register } = trust;
    const add = register.operatorAdded.bind(register);
    let found: Credentials | undefined;
    register.operatorAdded = async (...operator) => {
      found = await home.load();
      await add(...operator);
    };
    stopLast = await provideOperator(trust, { home, coordinator: COORDINATOR, onFailure: forbidden });
    assert.ok(found && isAdmitted(found));
  });
});
