import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { makeKeyPair } from '../../federation/certificates';
import { type Credentials, loadCredentials, saveCredentials } from '../../federation/credentials';
import { PemConverter, Pkcs10CertificateRequest } from '../../federation/x509';
import { keepCertificateFresh, renewalTime } from '../../fl-site/certificate-renewal';
import type { CoordinatorClient } from '../../fl-site/coordinator-client';
import { issueFor, selfSigned } from './support/site';

const LIFE = 30 * 86400e3;

describe('renewal of the certificate', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-renewal-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const keepFresh = async (
    credentials: Credentials,
    answer: (request: Uint8Array) => Promise<{ chainPem: string; rootsPem: string }>,
    now: () => number,
    waits: number[] = [],
    enrolAnew?: () => Promise<Credentials | undefined>,
  ) => {
    await saveCredentials(folder, credentials);
    const stop = new AbortController();
    const seen: { renewed: Credentials[]; failures: ClaraError[] } = { renewed: [], failures: [] };
    await keepCertificateFresh(
      {
        folder,
        credentials,
        client: () => ({ renew: answer }) as Partial<CoordinatorClient> as CoordinatorClient,
        pacing: {
          random: () => 0.5,
          wait: async (millis) => {
            waits.push(millis);
            if (waits.length >= 3) stop.abort();
          },
        },
        now,
        enrolAnew,
        onRenewed: (renewed) => seen.renewed.push(renewed),
        onFailure: (error) => seen.failures.push(error),
      },
      stop.signal,
    );
    return seen;
  };

  it('is due when two thirds of its life have passed', async () => {
    const { chainPem } = await selfSigned('a', LIFE);
    const due = renewalTime(chainPem).getTime();
    assert.ok(Math.abs(due - (Date.now() + (LIFE * 2) / 3)) < 5000);
  });

  it('waits until then, in steps that any timer can take', async () => {
    const credentials = await selfSigned('a', LIFE);
    const waits: number[] = [];
    const answer = async () => assert.fail('not due yet');
    const { renewed } = await keepFresh(credentials, answer, Date.now, waits);
    assert.deepEqual(renewed, []);
    assert.deepEqual(waits, [6 * 3600e3, 6 * 3600e3, 6 * 3600e3]);
  });

  it('makes a new key, and has key and certificate on disk before they are used', async () => {
    const old = await selfSigned('a', LIFE, 0.7 * LIFE);
    const { renewed } = await keepFresh(old, (request) => issueFor(request, 'a'), Date.now);
    assert.equal(renewed.length, 1);
    assert.notEqual(renewed[0].keyPem, old.keyPem);
    assert.deepEqual(await loadCredentials(folder), { ...renewed[0], coordinator: undefined });
  });

  const refusals: [string, (request: Uint8Array) => ReturnType<typeof issueFor>][] = [
    ['for another site', (request) => issueFor(request, 'b')],
    [
      'for another key',
      async () => {
        const { chainPem } = await selfSigned('a', LIFE, 0, makeKeyPair());
        return { chainPem, rootsPem: chainPem };
      },
    ],
    [
      'that the coordinator does not give',
      async () => {
        throw new ClaraError('unavailable', 'not now');
      },
    ],
  ];
  for (const [what, answer] of refusals) {
    it(`keeps the old certificate instead of one ${what}, and tries again`, async () => {
      const old = await selfSigned('a', LIFE, 0.7 * LIFE);
      const waits: number[] = [];
      const { renewed, failures } = await keepFresh(old, answer, Date.now, waits);
      assert.deepEqual(renewed, []);
      assert.equal(failures.length, 3);
      assert.deepEqual(waits, [5000, 10_000, 20_000]);
      assert.equal((await loadCredentials(folder)).chainPem, old.chainPem);
    });
  }

  it('is not asked for with a certificate that has ended: the site enrols anew, once, and goes on from there', async () => {
    const old = await selfSigned('a', LIFE, LIFE - 30_000);
    const fresh = await selfSigned('a', LIFE);
    const ends = Date.now() + 60_000;
    let clock = Date.now();
    let enrolments = 0;
    const waits: number[] = [];
    const { renewed, failures } = await keepFresh(
      old,
      async () => {
        clock = ends;
        throw new ClaraError('unavailable', 'no answer');
      },
      () => clock,
      waits,
      async () => {
        enrolments++;
        return fresh;
      },
    );
    assert.equal(failures.length, 1);
    assert.equal(enrolments, 1);
    assert.deepEqual(renewed, [fresh]);
  });

  it('looks again when the certificate ends, not an hour later', async () => {
    const old = await selfSigned('a', LIFE, LIFE - 3000);
    const began = Date.now();
    const waits: number[] = [];
    const refuse = async () => {
      throw new ClaraError('unavailable', 'no answer');
    };
    await keepFresh(old, refuse, () => began, waits);
    assert.ok(waits[0] > 0 && waits[0] <= 3000, String(waits));
  });

  it('asks with a request that proves the new key', async () => {
    const old = await selfSigned('a', LIFE, 0.7 * LIFE);
    let proven = false;
    await keepFresh(
      old,
      async (request) => {
        const csr = new Pkcs10CertificateRequest(
          PemConverter.encode(Uint8Array.from(request).buffer, 'CERTIFICATE REQUEST'),
        );
        proven = await csr.verify();
        return issueFor(request, 'a');
      },
      Date.now,
    );
    assert.equal(proven, true);
  });
});
