import assert from 'node:assert/strict';
import { Federation } from '../support/federation';

describe('a site where a person approves', function () {
  // Sites wait up to 20 s before they dial again.
  this.timeout(120_000);

  let federation: Federation;
  before(async () => {
    federation = await Federation.start(['a', 'b'], { b: { policy: { approve: 'person' }, limits: { maxRounds: 5 } } });
  });
  after(() => federation?.stop());

  const site = (verb: string, ...args: string[]) =>
    federation.cli('site', verb, ...args, '--config', federation.configurationOf('b'));
  const submitted = async (): Promise<string> => {
    const run = await federation.submit({ rounds: 1 });
    await federation.seen(run, ({ sites }) => sites[1]!.state === 'waiting for approval');
    return run;
  };

  it('shows the investigator what is waited for, outlives a kill of the agent, and works once approved', async () => {
    const run = await submitted();
    const shown = await federation.verb('run', 'show', run);
    assert.match(shown.stdout, /^b +waiting for approval/m);
    const listed = await site('proposals');
    assert.match(listed.stdout, new RegExp(`^${run} +waiting +shift +1 `, 'm'));
    const agent = federation.sites.get('b')!;
    agent.kill('SIGKILL');
    await agent.ended;
    // Answered while no agent runs.
    const approved = await site('approve', run);
    assert.equal(approved.code, 0, approved.stderr);
    const again = await site('refuse', run, '--reason', 'too late');
    assert.equal(again.code, 64);
    assert.match(again.stderr, /was approved before/);
    await federation.startSite('b');
    assert.equal((await federation.outcomeOf(run)).summary!.state, 'completed');
  });

  it('is told to a running agent', async () => {
    const run = await submitted();
    assert.equal((await site('approve', run)).code, 0);
    assert.equal((await federation.outcomeOf(run)).summary!.state, 'completed');
  });

  it('tells the investigator why a person refused', async () => {
    const run = await submitted();
    const refused = await site('refuse', run, '--reason', 'not covered by our consent');
    assert.equal(refused.code, 0, refused.stderr);
    const { summary } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'failed');
    assert.match(summary!.reason, /b: not covered by our consent/);
  });

  it('does not ask a person about what its limits refuse, and knows no other runs', async () => {
    const run = await federation.submit({ rounds: 6 });
    const { summary } = await federation.outcomeOf(run);
    assert.match(summary!.reason, /limits\.maxRounds/);
    const unknown = await site('approve', 'no-such-run');
    assert.equal(unknown.code, 66);
  });
});
