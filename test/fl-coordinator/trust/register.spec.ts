import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { operatorIdentity, siteIdentity } from '../../../federation/identity';
import { SiteRegister } from '../../../fl-coordinator/trust/site-register';
import { FEDERATION, FederationFixture } from './support/federation-fixture';

const print = (digit: string): string => digit.repeat(64);
const ID = '0123456789abcdef';

describe('register of the federation', () => {
  let fed: FederationFixture;
  let register: SiteRegister;
  const ends = new Date('2031-01-01T00:00:00.000Z');
  const mary = siteIdentity(FEDERATION, 'mary');

  beforeEach(async () => {
    fed = await FederationFixture.open();
    register = fed.trust.register;
  });
  afterEach(() => fed.close());

  const enrol = async (fingerprint: string, invitation = ID): Promise<void> => {
    await register.invited('mary', invitation, ends);
    await register.enrolled('mary', invitation, { fingerprint, ends });
  };

  it('admits nobody that it does not know', () => {
    assert.throws(() => register.admit(mary, print('a')), {
      code: 'permission-denied',
      message: /not in the federation's register/,
    });
  });

  it('follows a site from invitation to revocation, and is the same after a restart', async () => {
    const states: unknown[] = [];
    const look = async () => {
      const reopened = (await fed.reopen()).register;
      assert.deepEqual(reopened.sites(), register.sites());
      const [site] = reopened.sites();
      states.push([site.state, site.invitation !== undefined, [...site.admitted].map((text) => text[0]).join('')]);
    };
    await register.invited('mary', ID, ends);
    await look();
    await register.enrolled('mary', ID, { fingerprint: print('a'), ends });
    await look();
    await register.renewed('mary', { fingerprint: print('b'), ends });
    await look();
    await register.revoke('mary', 'left');
    await look();
    await enrol(print('c'), 'fedcba9876543210');
    await look();
    assert.deepEqual(states, [
      ['invited', true, ''],
      ['enrolled', false, 'a'],
      ['enrolled', false, 'ab'],
      ['revoked', false, ''],
      ['enrolled', false, 'c'],
    ]);
    assert.equal(register.admit(mary, print('c')), 'site');
    assert.throws(() => register.admit(mary, print('a')), /replaced by a later enrolment/);
  });

  it('tells which certificates lost their validity: all at revocation, the former at another enrolment, none at renewal', async () => {
    const told: string[][] = [];
    const stop = register.onRevoked(({ fingerprints }) => told.push(fingerprints.map((text) => text[0])));
    await enrol(print('a'));
    await register.renewed('mary', { fingerprint: print('b'), ends });
    assert.deepEqual(told, []);
    await enrol(print('c'));
    assert.deepEqual(told, [['a', 'b']]);
    await register.revoke('mary', 'left');
    await register.revoke('mary', 'again');
    assert.deepEqual(told, [['a', 'b'], ['c']]);
    assert.equal(register.site('mary')?.reason, 'left');
    stop();
    await enrol(print('d'));
    await register.revoke('mary', 'left');
    assert.equal(told.length, 2);
  });

  it('renews no site that is not enrolled, and revokes none that it does not know', async () => {
    await register.invited('mary', ID, ends);
    await assert.rejects(register.renewed('mary', { fingerprint: print('a'), ends }), { code: 'permission-denied' });
    await assert.rejects(register.revoke('nobody', ''), { code: 'not-found', message: /site nobody is not known/ });
  });

  it('binds a role to an operator, and takes it back', async () => {
    const ann = operatorIdentity(FEDERATION, 'ann');
    await register.operatorAdded('ann', 'auditor', { fingerprint: print('1'), ends });
    assert.equal(register.admit(ann, print('1')), 'auditor');
    assert.throws(() => register.admit(siteIdentity(FEDERATION, 'ann'), print('1')), { code: 'permission-denied' });
    await register.operatorAdded('ann', 'admin', { fingerprint: print('2'), ends });
    assert.equal((await fed.reopen()).register.admit(ann, print('2')), 'admin');
    assert.throws(() => register.admit(ann, print('1')), /replaced by a later enrolment/);
    await register.revokeOperator('ann', 'left');
    assert.throws(() => register.admit(ann, print('2')), /operator ann has been revoked/);
  });

  it('keeps concurrent changes in one order without gaps', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `site-${String(i).padStart(2, '0')}`);
    await Promise.all(names.map((name) => register.invited(name, ID, ends)));
    assert.deepEqual(
      (await fed.reopen()).register.sites().map(({ site }) => site),
      names,
    );
  });

  it('stops when another coordinator has written the next event', async () => {
    const other = (await fed.reopen()).register;
    await other.invited('elsewhere', ID, ends);
    const late = register.invited('mary', ID, ends);
    await assert.rejects(late, {
      code: 'precondition-failed',
      message: /event 1 of the register was written by another coordinator/,
    });
    assert.equal(register.site('mary'), undefined);
  });

  it('refuses to start on a journal with a gap or a damaged event, naming it', async () => {
    await enrol(print('a'));
    await register.renewed('mary', { fingerprint: print('b'), ends });
    const key = (seq: number) => `federation/journal/${String(seq).padStart(12, '0')}.json`;
    const second: Buffer[] = [];
    for await (const bytes of (await fed.store.get(key(2))).bytes) second.push(Buffer.from(bytes));
    const event = JSON.parse(Buffer.concat(second).toString());
    for (const damaged of [
      '{',
      '{}',
      JSON.stringify({ ...event, seq: 3 }),
      JSON.stringify({ ...event, extra: 1 }),
      JSON.stringify({ ...event, v: 2 }),
    ]) {
      await fed.store.put(key(2), Buffer.from(damaged));
      await assert.rejects(SiteRegister.open(fed.store.port), {
        code: 'corrupt',
        message: /000000000002\.json is not an event/,
      });
    }
    await fed.store.delete(key(2));
    await assert.rejects(SiteRegister.open(fed.store.port), {
      code: 'corrupt',
      message: /has no event 2 but .*000000000003\.json/,
    });
  });
});

describe('certificate authority', () => {
  let fed: FederationFixture;
  beforeEach(async () => {
    fed = await FederationFixture.open();
  });
  afterEach(() => fed.close());
  const home = (name: string): string => path.join(fed.folder, 'trust', 'authority', name);

  it('is the same after a restart', async () => {
    assert.equal((await fed.reopen()).authority.rootFingerprint, fed.trust.authority.rootFingerprint);
  });

  it('needs its root key no more once it exists', async () => {
    await rm(home('root.key.pem'));
    const { keyPem } = await (await fed.reopen()).authority.issueForServer(['localhost']);
    assert.match(keyPem, /PRIVATE KEY/);
  });

  it('refuses files that are missing, damaged, mixed up or of another federation', async () => {
    const issuerKey = await readFile(home('issuer.key.pem'));
    await writeFile(home('issuer.key.pem'), await readFile(home('root.key.pem')));
    await assert.rejects(fed.reopen(), { code: 'corrupt', message: /do not belong together/ });
    await writeFile(home('issuer.key.pem'), 'nonsense');
    await assert.rejects(fed.reopen(), {
      code: 'corrupt',
      message: /issuer\.key\.pem in .*authority is not a P-256 key/,
    });
    await writeFile(home('issuer.key.pem'), issuerKey);
    await assert.rejects(fed.reopen('another.example.org'), {
      code: 'invalid-input',
      message: /has the authority of another federation/,
    });
    await rm(home('issuer.pem'));
    await assert.rejects(fed.reopen(), { code: 'corrupt', message: /has lost issuer\.pem/ });
  });

  it('issues to nobody of another federation', async () => {
    const issued = fed.trust.authority.issue(new Uint8Array(1), siteIdentity('other', 'mary'));
    await assert.rejects(issued, { code: 'permission-denied', message: /not of federation fed\.example\.org/ });
  });
});
