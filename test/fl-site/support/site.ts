import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { makeKeyPair, pemOf, privateKeyPem } from '../../../federation/certificates';
import { type Credentials, saveCredentials } from '../../../federation/credentials';
import {
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../../federation/x509';
import {
  checkSiteConfiguration,
  type SiteConfiguration,
  type SiteConfigurationInput,
} from '../../../fl-site/configuration';

export interface TestSite {
  readonly folder: string;
  readonly configuration: (more?: Partial<SiteConfigurationInput>) => SiteConfiguration;
  remove(): void;
}

/** A site's folder with credentials that fit its id; nobody checks who signed them. */
export async function makeSite(
  id: string,
  port: number,
  trainer: { command: string; args: readonly string[] },
): Promise<TestSite> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'clara-site-'));
  await saveCredentials(path.join(folder, 'credentials'), await selfSigned(id, 30 * 86400e3));
  const input = (more: Partial<SiteConfigurationInput>): SiteConfigurationInput => ({
    id,
    coordinator: `127.0.0.1:${port}`,
    credentials: 'credentials',
    workspace: 'workspace',
    dataset: { kind: 'none' },
    trainer: {
      name: 'scripted',
      adapter: 'process',
      command: [trainer.command, ...trainer.args],
      environment: { GATE_FOLDER: path.join(folder, 'gate') },
    },
    ...more,
  });
  return {
    folder,
    configuration: (more = {}) => checkSiteConfiguration(input(more), folder),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Credentials of a site, signed by its own key, that began to be valid `age` milliseconds ago. */
export async function selfSigned(id: string, lifeMillis: number, age = 0, keys = makeKeyPair()): Promise<Credentials> {
  const pair = await keys;
  const uri = `spiffe://test/site/${id}`;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    keys: pair,
    notBefore: new Date(Date.now() - age),
    notAfter: new Date(Date.now() - age + lifeMillis),
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: uri }])],
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  const chainPem = pemOf(new Uint8Array(certificate.rawData));
  return {
    keyPem: await privateKeyPem(pair),
    chainPem,
    rootsPem: chainPem,
    identity: { kind: 'site', federation: 'test', id },
  };
}

/** What a coordinator answers to a certificate request: a certificate for its key and the given site. */
export async function issueFor(requestDer: Uint8Array, id: string): Promise<{ chainPem: string; rootsPem: string }> {
  const request = new Pkcs10CertificateRequest(Uint8Array.from(requestDer).buffer);
  const issuer = await makeKeyPair();
  const certificate = await X509CertificateGenerator.create({
    subject: 'CN=site',
    issuer: 'CN=issuer',
    publicKey: await request.publicKey.export(),
    signingKey: issuer.privateKey,
    notBefore: new Date(Date.now()),
    notAfter: new Date(Date.now() + 30 * 86400e3),
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://test/site/${id}` }])],
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  const chainPem = pemOf(new Uint8Array(certificate.rawData));
  return { chainPem, rootsPem: chainPem };
}
