import assert from 'node:assert/strict';
import { fault } from '../support/faults';
import { Federation, type SiteOptions } from '../support/federation';
import { shiftModel } from '../support/shift-model';

const MISTAKES: readonly {
  readonly what: string;
  readonly options: SiteOptions;
  readonly deadline?: string;
  readonly says: RegExp;
  readonly reads: string;
}[] = [
  {
    what: 'exits with 1',
    options: { trainer: { MISTAKE: 'exit-1' } },
    says: /exit.* 1\b.*on fire/s,
    reads: 'c lost: the trainer ended with exit code 1, and said last: the disk of the trainer is on fire',
  },
  {
    what: 'hangs past the deadline',
    options: { trainer: { MISTAKE: 'hang' } },
    deadline: '15s',
    says: /deadline/,
    reads: 'c lost: nothing came before the deadline of {time}',
  },
  {
    what: 'writes garbage',
    options: { trainer: { MISTAKE: 'garbage' } },
    says: /safetensors|update/,
    reads: 'c lost: {file}: length ({n} bytes): must be at most {n} bytes of header',
  },
  {
    what: 'writes NaN',
    options: { trainer: { MISTAKE: 'nan' } },
    says: /bias.*NaN/,
    reads: 'c lost: the update that the trainer wrote: bias: tensor bias element 2 is NaN; every number must be finite',
  },
  {
    what: 'writes a wrong shape',
    options: { trainer: { MISTAKE: 'wrong-shape' } },
    says: /\bw\b.*shape/,
    reads: 'c lost: the update that the trainer wrote: w (shape [5]): must have the shape [1000] of the model',
  },
  {
    what: 'fills the disk quota',
    options: { trainer: { MISTAKE: 'quota' }, limits: { diskBytes: '4MiB' } },
    says: /diskBytes|disk/,
    reads: 'c lost: the trainer was stopped because its folder held {n} bytes, more than the {n} of limits.diskBytes',
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

  for (const { what, options, deadline = '60s', says, reads } of MISTAKES) {
    fault({
      area: 'Sites and their trainers',
      fault: `a trainer ${what}`,
      where: 'the trainer of one of three sites',
      reads,
      ends: 'the run goes on without that site; `run show` says why',
    }).it(`${what} costs the run that site and no more, and run show says why`, async (told) => {
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
      told(line!);
    });
  }

  fault({
    area: 'Sites and their trainers',
    fault: 'a trainer fails at a site that the run needs',
    where: 'the trainer of one of three sites, quorum all',
    reads: 'clara-fed: run {run} is failed: {what} quorum of 3{sites}',
    ends: 'the run fails at once, and names each site with its reason; exit code 64',
  }).it('fails ends a run that needs every site, with that reason', async (told) => {
    await misbehave({ trainer: { MISTAKE: 'nan' } });
    const submitted = await federation.verb('run', 'submit', await federation.planFile({ rounds: 1 }), '--wait');
    assert.equal(submitted.code, 64);
    assert.match(submitted.stderr, /^clara-fed: run \S+ is failed: .*quorum of 3.*c: .*bias.*NaN.*\n$/);
    told(submitted.stderr.trimEnd());
  });
});
