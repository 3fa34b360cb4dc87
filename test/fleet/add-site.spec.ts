import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import type { ClaraError } from '../../base/errors';
import { addSite, type SiteToAdd } from '../../fleet/add-site';
import { asClaraError } from '../../fleet/deployment-faults';

const ROOT = path.resolve(__dirname, '../..');

const LEEDS = {
  name: 'Leeds General Infirmary',
  accountId: '121212121212',
  region: 'eu-west-2',
  settings: {
    zones: ['euw2-az1', 'euw2-az2'],
    gpuFamilies: { g6: 1 },
    clientCidrs: ['10.7.0.0/16'],
    certificateArn: 'arn:aws:acm:eu-west-2:121212121212:certificate/6f1c2a3b-0000-4000-8000-1234567890ab',
    serviceHostName: 'annotate.leeds.example.org',
    trainers: [{ name: 'monai-unet', image: 'monai-unet', gpuFamily: 'g6' }],
  },
};

describe('a hospital that is added', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'clara-add-'));
    for (const name of readdirSync(ROOT))
      if (/^Pulumi.*\.yaml$/.test(name)) cpSync(path.join(ROOT, name), path.join(root, name));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const text = (file: string) => readFileSync(path.join(root, file), 'utf8');
  const write = (file: string, content: string) => writeFileSync(path.join(root, file), content);
  const add = (site: Partial<SiteToAdd> = {}) =>
    addSite({ root, environment: 'dev', id: 'leeds', entry: LEEDS, ...site }).catch((error: unknown) => {
      throw asClaraError(error);
    });
  const texts = () => Object.fromEntries(readdirSync(root).map((file) => [file, text(file)]));

  it('is in the catalogue, whose other lines with their comments stay, and has a file that can be deployed', async () => {
    const before = text('Pulumi.dev.yaml').trimEnd().split('\n');
    assert.deepEqual(await add(), { stack: 'dev-leeds', catalogue: 'added', file: 'written' });
    const after = text('Pulumi.dev.yaml').trimEnd().split('\n');
    assert.deepEqual(after.slice(0, before.length), before);
    assert.ok(before.some((line) => line.includes('#')));
    const { config } = parse(text('Pulumi.dev.yaml')) as { config: Record<string, { id: string }[]> };
    assert.deepEqual(config['clara-federation:sites']!.at(-1), { id: 'leeds', ...LEEDS });
    const site = (parse(text('Pulumi.dev-leeds.yaml')) as { config: Record<string, unknown> }).config;
    assert.equal(site['clara-federation:accountId'], '121212121212');
    assert.equal(site['clara-federation:siteId'], 'leeds');
    assert.deepEqual(site['clara-federation:gpuFamilies'], { g6: 1 });
  });

  it('can be added again, with its particulars and without, and nothing changes', async () => {
    await add();
    const before = texts();
    assert.deepEqual(await add(), { stack: 'dev-leeds', catalogue: 'there', file: 'unchanged' });
    assert.deepEqual(await add({ entry: undefined }), { stack: 'dev-leeds', catalogue: 'there', file: 'unchanged' });
    assert.deepEqual(texts(), before);
  });

  it('is refused under an id that is taken', async () => {
    const before = texts();
    await assert.rejects(add({ id: 'st-marys' }), ({ code, message }: ClaraError) => {
      assert.equal(code, 'already-exists');
      assert.match(message, /st-marys is in the catalogue of dev with other particulars/);
      return true;
    });
    assert.deepEqual(texts(), before);
  });

  it('is refused with every fault, and nothing is written', async () => {
    const before = texts();
    const settings = { ...LEEDS.settings, gpuFamilies: { g7: 1 }, colour: 'blue' };
    await assert.rejects(add({ entry: { ...LEEDS, settings } }), /colour/);
    await assert.rejects(add({ entry: { ...LEEDS, accountId: '12', region: 'Leeds' } }), ({ faults }: ClaraError) => {
      assert.equal(faults.length, 2, JSON.stringify(faults));
      return true;
    });
    await assert.rejects(
      add({ entry: { ...LEEDS, settings: { ...LEEDS.settings, vpcCidr: '10.0.0.0/8' } } }),
      /vpcCidr/,
    );
    assert.deepEqual(texts(), before);
  });

  it('is refused without particulars when nobody knows it', async () => {
    await assert.rejects(add({ entry: undefined }), ({ code }: ClaraError) => code === 'not-found');
  });

  it('waits for its account when the organisation has yet to make it, and goes on when the account is written down', async () => {
    const { accountId: _, ...rest } = LEEDS;
    const entry = { ...rest, accountEmail: 'leeds@spleen-consortium.org' };
    assert.deepEqual(await add({ entry }), { stack: 'dev-leeds', catalogue: 'added', file: 'waiting' });
    assert.ok(!existsSync(path.join(root, 'Pulumi.dev-leeds.yaml')));
    const email = 'accountEmail: leeds@spleen-consortium.org\n';
    write('Pulumi.dev.yaml', text('Pulumi.dev.yaml').replace(email, `${email}      accountId: "121212121212"\n`));
    assert.deepEqual(await add({ entry: undefined }), { stack: 'dev-leeds', catalogue: 'there', file: 'written' });
  });

  it('has its file written anew after a change in the catalogue, which keeps what the CLI has put there', async () => {
    await add();
    // As the CLI leaves it: numbers and switches as text, its own key, and a secret that somebody set.
    write(
      'Pulumi.dev-leeds.yaml',
      `${text('Pulumi.dev-leeds.yaml')}  clara-federation:alarmEmail:\n    secure: v1:sealed\nencryptionsalt: v1:salt\n`,
    );
    assert.equal((await add({ entry: undefined })).file, 'unchanged');
    write(
      'Pulumi.dev.yaml',
      text('Pulumi.dev.yaml').replace(
        'g6: 1\n        clientCidrs:\n          - 10.7',
        'g6: 3\n        clientCidrs:\n          - 10.7',
      ),
    );
    const before = text('Pulumi.dev-leeds.yaml');
    assert.equal((await add({ entry: undefined, check: true })).file, 'differs');
    assert.equal(text('Pulumi.dev-leeds.yaml'), before);
    assert.equal((await add({ entry: undefined })).file, 'written');
    const after = parse(text('Pulumi.dev-leeds.yaml')) as Record<string, unknown> & { config: Record<string, unknown> };
    assert.deepEqual(after.config['clara-federation:gpuFamilies'], { g6: 3 });
    assert.deepEqual(after.config['clara-federation:alarmEmail'], { secure: 'v1:sealed' });
    assert.equal(after.encryptionsalt, 'v1:salt');
  });

  it('has a file that differs when somebody has edited it', async () => {
    await add();
    write('Pulumi.dev-leeds.yaml', `${text('Pulumi.dev-leeds.yaml')}  clara-federation:bastion: true\n`);
    assert.equal((await add({ entry: undefined, check: true })).file, 'differs');
  });
});
