import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type Credentials, loadCredentials, saveCredentials } from '../../federation/credentials';
import { siteIdentity } from '../../federation/identity';
import { CertificateAuthority } from '../../fl-coordinator/trust/certificate-authority';
import { issueDirectly } from '../fl-coordinator/trust/support/federation-fixture';

describe('credentials folder', () => {
  let root: string;
  let folder: string;
  let authority: CertificateAuthority;
  let credentials: Credentials;
  const issue = (id: string) => issueDirectly({ authority }, siteIdentity('fed', id));

  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'clara-credentials-'));
    folder = path.join(root, 'mine');
    authority = await CertificateAuthority.open(path.join(root, 'trust'), { federation: 'fed' });
    credentials = { ...(await issue('a')), coordinator: 'fed:1' };
    await saveCredentials(folder, credentials);
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('gives back what was saved', async () => {
    assert.deepEqual(await loadCredentials(folder), credentials);
  });

  it('is refused when others may read the key', async () => {
    for (const [mode, shown] of [
      [0o640, '0640'],
      [0o604, '0604'],
      [0o660, '0660'],
    ] as const) {
      await chmod(path.join(folder, 'key.pem'), mode);
      const message = new RegExp(
        `key\\.pem has mode ${shown}, but a key must be readable by its owner only; run chmod 600`,
      );
      await assert.rejects(loadCredentials(folder), { code: 'permission-denied', message });
    }
  });

  it('is refused when key, certificate and identity do not belong together', async () => {
    await saveCredentials(path.join(root, 'other'), await issue('b'));
    const swap = (name: string) => copyFile(path.join(root, 'other', name), path.join(folder, name));
    await swap('key.pem');
    await assert.rejects(loadCredentials(folder), {
      code: 'corrupt',
      message: /is not the key of the certificate beside it/,
    });
    await swap('chain.pem');
    await assert.rejects(loadCredentials(folder), {
      code: 'corrupt',
      message: /site\/b, but identity\.json says .*site\/a/,
    });
  });

  it('is refused when a file is missing or damaged, naming it', async () => {
    for (const name of ['chain.pem', 'roots.pem', 'identity.json', 'key.pem']) {
      const file = path.join(folder, name);
      const good = await readFile(file);
      await writeFile(file, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
      await assert.rejects(loadCredentials(folder), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'corrupt');
        assert.ok(error.message.includes(name), error.message);
        return true;
      });
      await rm(file);
      await assert.rejects(loadCredentials(folder), { code: 'not-found', message: /does not exist; enrol first/ });
      await writeFile(file, good, { mode: 0o600 });
    }
  });

  it('can be used after a kill between any two of the writes of a renewal', async () => {
    const renewed = await issue('a');
    const write = (name: string, text: string) => writeFile(path.join(folder, name), text, { mode: 0o600 });
    await write('key.next.pem', renewed.keyPem);
    assert.equal((await loadCredentials(folder)).keyPem, credentials.keyPem);
    await write('chain.pem', renewed.chainPem);
    assert.equal((await loadCredentials(folder)).keyPem, renewed.keyPem);
    await write('key.pem', renewed.keyPem);
    assert.equal((await loadCredentials(folder)).keyPem, renewed.keyPem);
  });
});
