import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ClaraError } from '../../../base/errors';
import type { Helpers, StepReport } from '../../../fl-site/prepare/local-file';
import { type Preparation, prepareSite } from '../../../fl-site/prepare/prepare-site';
import { mmarFiles, tarOfFiles } from '../support/mmar/mmar-files';

const ADDRESS = 's3://hospital/archive';

describe('preparing a site from a source that changes', () => {
  let folder: string;
  /** What lies at the address; undefined when nobody answers. */
  let remote: { bytes: Buffer; pin: string } | undefined;
  let asked: number;
  const at = (...names: string[]) => path.join(folder, ...names);
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'clara-changed-source-'));
    asked = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** @returns the last step's state, or what went wrong */
  async function prepare(preparation: Preparation): Promise<string> {
    const steps: StepReport[] = [];
    const helpers: Helpers = {
      isRemote: (from) => from.startsWith('s3://'),
      openRemote: async () => {
        asked += 1;
        if (remote === undefined) throw new ClaraError('unavailable', 'S3 does not answer');
        const { bytes, pin } = remote;
        const read = async function* (from: number) {
          yield bytes.subarray(from);
        };
        return { size: bytes.length, pin, read, close: () => undefined };
      },
      published: async () => undefined,
      publish: () => assert.fail('nothing is published'),
      onStep: (step) => steps.push(step),
      signal: new AbortController().signal,
    };
    return prepareSite(preparation, helpers).then(
      () => steps.at(-1)!.state,
      (error: unknown) =>
        error instanceof ClaraError ? `${error.code}: ${error.message}` : assert.fail(String(error)),
    );
  }

  /** A dataset of so many cases of one letter each. */
  const dataset = (letter: string, listed = 2, packed = listed) => {
    const names = Array.from({ length: listed }, (_, n) => `case_${n}.nii`);
    const cases = names.map((name) => ({ image: `imagesTr/${name}`, label: `labelsTr/${name}` }));
    const list = { name: 'spleen', labels: { 0: 'background', 1: 'spleen' }, training: cases };
    const files = names.slice(0, packed).flatMap((name) => [
      [`imagesTr/${name}`, letter],
      [`labelsTr/${name}`, letter],
    ]);
    return tarOfFiles({ 'dataset.json': JSON.stringify(list), ...Object.fromEntries(files) });
  };
  const division = { seed: 1, gunzip: false };
  const sha256 = `sha256:${'0'.repeat(64)}`;

  for (const [title, archiveOf, of, note] of [
    [
      'an MMAR',
      (text: string) => tarOfFiles({ ...mmarFiles(), 'docs/Readme.md': text }),
      (from: string, digest?: string): Preparation => ({ mmar: { from, into: at('made'), sha256: digest } }),
      'prepared.json',
    ],
    [
      'a dataset',
      (text: string) => dataset(text),
      (from: string, digest?: string): Preparation => ({
        dataset: { from, into: at('made'), division, sha256: digest },
      }),
      'prepared.json',
    ],
  ] as const) {
    it(`refuses ${title} of which the address has another content now, and leaves what was made`, async () => {
      remote = { bytes: await archiveOf('a'), pin: 'v1' };
      assert.equal(await prepare(of(ADDRESS)), 'done');
      assert.equal(await prepare(of(ADDRESS)), 'nothing-to-do');
      const before = readFileSync(at('made', note));
      remote = { bytes: await archiveOf('b'), pin: 'v2' };
      const refused = await prepare(of(ADDRESS));
      assert.match(
        refused,
        /^already-exists: .*made was prepared from s3:\/\/hospital\/archive, where there is another/,
      );
      assert.match(refused, /remove it, or name another folder/);
      assert.deepEqual(readFileSync(at('made', note)), before);
      remote = undefined;
      assert.equal(await prepare(of(ADDRESS)), 'nothing-to-do', 'nothing tells that it changed');
      rmSync(at('made'), { recursive: true });
      remote = { bytes: await archiveOf('b'), pin: 'v2' };
      assert.equal(await prepare(of(ADDRESS)), 'done');
    });

    it(`asks nobody about ${title} of which the digest is given, and takes a note without a content as it is`, async () => {
      remote = { bytes: await archiveOf('a'), pin: 'v1' };
      assert.equal(await prepare(of(ADDRESS)), 'done');
      for (const digest of [sha256, undefined]) {
        const { pin: _, ...old } = JSON.parse(readFileSync(at('made', note), 'utf8'));
        writeFileSync(at('made', note), JSON.stringify({ ...old, source: digest ? `${ADDRESS} ${digest}` : ADDRESS }));
        asked = 0;
        assert.equal(await prepare(of(ADDRESS, digest)), 'nothing-to-do');
        assert.equal(asked, 0);
      }
    });
  }

  it('never goes on with what another archive left half unpacked', async () => {
    const archive = at('archive.tar');
    const preparation: Preparation = { dataset: { from: archive, into: at('made'), division } };
    writeFileSync(archive, await dataset('a', 3, 2));
    assert.match(await prepare(preparation), /^invalid-input: /);
    assert.ok(existsSync(at('made.prepare')), 'something is left');
    writeFileSync(archive, await dataset('b', 2));
    assert.equal(await prepare(preparation), 'done');
    for (const name of readdirSync(at('made', 'imagesTr'))) {
      assert.equal(readFileSync(at('made', 'imagesTr', name), 'utf8'), 'b', name);
    }
    assert.deepEqual(readdirSync(folder).sort(), ['archive.tar', 'made']);
  });
});
