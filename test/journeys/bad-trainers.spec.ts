import assert from 'node:assert/strict';
import { Federation, type SiteOptions } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const MISTAKES: readonly {
  readonly what: string;
  readonly options: SiteOptions;
  readonly deadline?: string;
  readonly says: RegExp;
}[] = [
  { what: 'exits with 1', options: { trainer: { MISTAKE: 'exit-1' } }, says: /exit.* 1\b.*on fire/s },
  {
    what: 'hangs past the deadline',
    options: { trainer: { MISTAKE: 'hang' } },
    deadline: '7s',
    says: /deadline/,
  },
  { what: 'writes garbage', options: { trainer: { MISTAKE: 'garbage' } }, says: /safetensors|update/ },
  { what: 'writes NaN', options: { trainer: { MISTAKE: 'nan' } }, says: /bias.*NaN/ },
  { what: 'writes a wrong shape', options: { trainer: { MISTAKE: 'wrong-shape' } }, says: /\bw\b.*shape/ },
  {
    what: 'fills the disk quota',
    options: { trainer: { MISTAKE: 'quota' }, limits: { diskBytes: '4MiB' } },
    says: /diskBytes|disk/,
  },
];

describe('a trainer at one of three sites that', () => {
  let federation: Federation;

  before(async () => {
    federation = await Federation.start(['a', 'b', 'c']);
  });
  after(() => federation?.stop());

  const misbehave = async (options: SiteOptions) => {
    await federation.stopSite('c');
    await federation.configureSite('c', options);
    await federation.startSite('c');
  };

  for (const { what, options, deadline = '60s', says } of MISTAKES) {
    it(`${what} costs the run that site and no more, and run show says why`, async () => {
      await misbehave(options);
      const run = await federation.submit({ rounds: 1, quorum: 2, deadline });
      const view = await federation.outcomeOf(run);
      assert.equal(view.summary!.state, 'completed', view.summary!.reason);
      assert.deepEqual(view.rounds[0]!.contributors, ['a', 'b']);
      const expected = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [['a', 'b']] });
      assert.equal(view.summary!.modelDigest, expected.digest);
      const shown = await federation.verb('run', 'show', run);
      assert.equal(shown.code, 0);
      const line = shown.stdout.split('\n').find((text) => /^c (lost|rejected): /.test(text));
      assert.match(line ?? shown.stdout, says);
    });
  }

  it('fails ends a run that needs every site, with that reason', async () => {
    await misbehave({ trainer: { MISTAKE: 'nan' } });
    const submitted = await federation.verb('run', 'submit', await federation.planFile({ rounds: 1 }), '--wait');
    assert.equal(submitted.code, 64);
    assert.match(submitted.stderr, /^clara-fed: run \S+ is failed: .*quorum of 3.*c: .*bias.*NaN.*\n$/);
  });
});
