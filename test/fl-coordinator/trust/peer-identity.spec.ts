import assert from 'node:assert/strict';
import { certificatesIn, makeKeyPair, SIGNING_ALGORITHM } from '../../../federation/certificates';
import { siteIdentity } from '../../../federation/identity';
import {
  type JsonGeneralNames,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../../federation/x509';
import { admitPeer, peerOf } from '../../../fl-coordinator/trust/peer-identity';
import { FEDERATION, FederationFixture, issueDirectly } from './support/federation-fixture';

/** A call over a connection whose certificate TLS has verified. */
const callWith = (der: Uint8Array) => ({ getAuthContext: () => ({ sslPeerCertificate: { raw: Buffer.from(der) } }) });

async function certificateWith(names: JsonGeneralNames): Promise<Uint8Array> {
  const keys = await makeKeyPair();
  const extensions = names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : [];
  const made = await X509CertificateGenerator.createSelfSigned({
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions,
  });
  return new Uint8Array(made.rawData);
}

describe('identity of a peer', () => {
  it('is the one SPIFFE ID of the certificate, whatever other names stand beside it', async () => {
    const der = await certificateWith([
      { type: 'dns', value: 'spiffe://fed/operator/root' },
      { type: 'url', value: 'spiffe://fed/site/mary' },
    ]);
    assert.deepEqual(peerOf(callWith(der)).identity, siteIdentity('fed', 'mary'));
  });

  it('is refused when the certificate carries none, several, or another kind of address', async () => {
    const url = (value: string) => ({ type: 'url' as const, value });
    const cases = [
      [[], /carries 0 identities/],
      [[{ type: 'dns' as const, value: 'fed.example.org' }], /carries 0 identities/],
      [[url('spiffe://fed/site/a'), url('spiffe://fed/operator/b')], /carries 2 identities/],
      [[url('https://fed/site/a')], /"https:\/\/fed\/site\/a", which is not an identity/],
      [[url('spiffe://fed/site/a, URI:spiffe://fed/operator/b')], /which is not an identity/],
    ] as const;
    for (const [names, message] of cases) {
      const der = await certificateWith([...names]);
      assert.throws(() => peerOf(callWith(der)), { code: 'unauthenticated', message });
    }
  });

  it('is refused without a verified certificate', () => {
    assert.throws(() => peerOf({ getAuthContext: () => ({}) }), {
      code: 'unauthenticated',
      message: /no verified certificate/,
    });
  });

  it('is admitted only by its own federation', async () => {
    const fed = await FederationFixture.open();
    const other = await FederationFixture.open('other.example.org');
    try {
      const { chainPem } = await issueDirectly(other.trust, siteIdentity('other.example.org', 'mary'));
      const call = callWith(certificatesIn(chainPem, 'chain')[0]);
      const message = new RegExp(`site mary belongs to federation other.example.org, this is ${FEDERATION}`);
      assert.throws(() => admitPeer(call, 'federation.connect', fed.trust), { code: 'permission-denied', message });
    } finally {
      await fed.close();
      await other.close();
    }
  });
});
