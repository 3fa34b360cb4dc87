import assert from 'node:assert/strict';
import { checkPlan, type PlanInput } from '../../federation/plan';
import { checkSiteConfiguration, type SiteConfigurationInput } from '../../fl-site/configuration';
import { answerProposal } from '../../fl-site/policy';

const PLAN: PlanInput = { name: 'spleen', trainer: { name: 'unet3d' }, rounds: 5, cohort: ['a', 'b', 'c'] };

function answer(
  plan: Partial<PlanInput>,
  limits: SiteConfigurationInput['limits'] = {},
  policy: SiteConfigurationInput['policy'] = {},
  statistics: SiteConfigurationInput['statistics'] = {},
) {
  const site = checkSiteConfiguration(
    {
      id: 'a',
      coordinator: 'localhost:1',
      credentials: 'c',
      workspace: 'w',
      dataset: { kind: 'none' },
      trainer: { name: 'unet3d', adapter: 'reference' },
      limits,
      policy,
      statistics,
    },
    '/',
  );
  return answerProposal(JSON.stringify(checkPlan({ ...PLAN, ...plan })), site);
}

function reason(...input: Parameters<typeof answer>): string {
  const decision = answer(...input);
  assert.equal(decision.approved, false);
  return (decision as { reason: string }).reason;
}

describe("a site's policy", () => {
  it('tells no statistics unless it says so, and in no more bins than it allows', () => {
    const plan = { rounds: 1, statistics: { bins: 32 } };
    assert.match(reason(plan), /statistics\.allow is false/);
    assert.match(reason(plan, {}, {}, { allow: true, maximumBins: 31 }), /32 bins, but a tells 31 at most/);
    assert.equal(answer(plan, {}, {}, { allow: true, maximumBins: 32 }).approved, true);
    assert.match(reason(plan, {}, { approve: 'never' }, { allow: true }), /policy\.approve is never/);
    assert.equal(answer({}, {}, {}, { allow: false }).approved, true, 'training is another matter');
  });

  describe('with hours', () => {
    const hours = { timeZone: 'Europe/London', open: [{ days: ['sat', 'sun'], from: '00:00', to: '24:00' }] } as const;
    const site = checkSiteConfiguration(
      {
        ...{ id: 'a', coordinator: 'localhost:1', credentials: 'c', workspace: 'w', dataset: { kind: 'none' } },
        trainer: { name: 'unet3d', adapter: 'reference' },
        limits: { taskTimeout: '7d' },
        policy: { hours },
      },
      '/',
    );
    const on = (day: string, plan: Partial<PlanInput>) =>
      answerProposal(JSON.stringify(checkPlan({ ...PLAN, ...plan })), site, Date.parse(day));

    it('refuses a plan whose first round is over before they begin', () => {
      const refused = on('2026-11-23T12:00Z', { deadline: '12h' });
      assert.match(
        (refused as { reason: string }).reason,
        /waits 720 min at most .*, but a may not work before Sat 00:00 Europe\/London \(policy\.hours\)/,
      );
      // The approvals may take 3 days, and the round that follows them another 3.
      assert.equal(on('2026-11-23T12:00Z', { deadline: '3d' }).approved, true);
    });

    it('approves a plan that can begin, and warns of rounds that will not', () => {
      const now = on('2026-11-28T12:00Z', { deadline: '12h' });
      assert.ok(now.approved);
      assert.match(now.warning, /may not work for up to 7200 min on end \(policy\.hours\)/);
      const patient = on('2026-11-28T12:00Z', { deadline: '6d' });
      assert.ok(patient.approved);
      assert.equal(patient.warning, '');
    });

    it('says nothing of plans whose rounds do not wait for a site', () => {
      const late = on('2026-11-23T12:00Z', { deadline: '12h', quorum: 2, lateUpdates: 'next-round' });
      assert.ok(late.approved);
      assert.equal(late.warning, '');
    });
  });

  it('shows its update to no other site when it asks for an average', () => {
    const plan = { evaluation: { crossSite: true } };
    assert.match(reason(plan, { minimumCohort: 2 }), /not averaged \(evaluation\.crossSite\)/);
    assert.equal(answer(plan).approved, true);
  });

  it('gives no statistics of its own to all when it asks for an average', () => {
    const plan = { normalisationStatistics: 'first' } as const;
    assert.match(reason(plan, { minimumCohort: 2 }), /from one site, not averaged \(normalisationStatistics: first\)/);
    assert.equal(answer(plan).approved, true);
    assert.equal(answer({ normalisationStatistics: 'keep-local' }, { minimumCohort: 2 }).approved, true);
  });

  it('approves a run within its limits', () => {
    const decision = answer({}, { maxRounds: 5, minimumCohort: 3 });
    assert.equal(decision.approved, true);
  });

  it('refuses another trainer, naming both', () => {
    assert.match(
      reason({ trainer: { name: 'bundle' } }),
      /asks for trainer bundle, but a runs unet3d \(trainer\.name\)/,
    );
  });

  it('refuses more rounds than allowed', () => {
    assert.match(reason({}, { maxRounds: 4 }), /5 rounds, but a allows 4 \(limits\.maxRounds\)/);
  });

  it('refuses a cohort that is too small, counting what the quorum lets through', () => {
    assert.match(reason({}, { minimumCohort: 4 }), /as few as 3 updates, but a asks for 4 \(limits\.minimumCohort\)/);
    assert.match(reason({ quorum: 1 }, { minimumCohort: 2 }), /as few as 1 update, but a asks for 2/);
    assert.match(reason({ cohort: 'all' }, { minimumCohort: 2 }), /does not say how many/);
    assert.equal(answer({ cohort: 'all', quorum: 2 }, { minimumCohort: 2 }).approved, true);
  });

  it("counts what a combiner leaves of the updates: the model of krum is one site's", () => {
    const cohort = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    assert.match(reason({ cohort, strategy: 'krum' }, { minimumCohort: 2 }), /as few as 1 update, but a asks for 2/);
    assert.match(reason({ cohort, strategy: 'multikrum' }, { minimumCohort: 4 }), /as few as 3 updates/);
    assert.equal(answer({ cohort, strategy: 'multikrum' }, { minimumCohort: 3 }).approved, true);
    assert.equal(answer({ cohort, strategy: 'krum' }).approved, true);
  });

  it('refuses a strategy that needs more of the trainer than it is said to support, naming each feature', () => {
    const site = (trainer: SiteConfigurationInput['trainer']) =>
      checkSiteConfiguration(
        { id: 'a', coordinator: 'localhost:1', credentials: 'c', workspace: 'w', dataset: { kind: 'none' }, trainer },
        '/',
      );
    const process = { name: 'unet3d', adapter: 'process' as const, command: ['train'] };
    const both = { clientRule: { kind: 'fedprox' }, combiner: { kind: 'normalised-mean' } };
    const asked = (strategy: unknown) => JSON.stringify(checkPlan({ ...PLAN, strategy }));
    const refused = answerProposal(asked(both), site(process));
    assert.ok(!refused.approved);
    for (const feature of ['fedprox', 'fednova']) {
      assert.match(
        refused.reason,
        new RegExp(`supports ${feature}, which a does not say of unet3d \\(trainer\\.supports\\)`),
      );
    }
    const one = answerProposal(asked(both), site({ ...process, supports: ['fedprox'] }));
    assert.ok(!one.approved && !one.reason.includes('fedprox,') && one.reason.includes('fednova'));
    assert.ok(answerProposal(asked(both), site({ ...process, supports: ['fedprox', 'fednova'] })).approved);
    assert.ok(answerProposal(asked('fedadam'), site(process)).approved);
    assert.ok(answer({ strategy: both }).approved, 'the reference trainer supports all');
  });

  it('refuses a cohort without this site', () => {
    assert.match(reason({ cohort: ['b', 'c'] }), /does not name a/);
  });

  it('refuses everything when nothing is approved', () => {
    assert.match(reason({}, {}, { approve: 'never' }), /policy\.approve is never/);
  });

  it('names every broken rule at once', () => {
    const all = reason({ trainer: { name: 'other' }, rounds: 9 }, { maxRounds: 1, minimumCohort: 7 });
    for (const rule of ['trainer.name', 'limits.maxRounds', 'limits.minimumCohort'])
      assert.ok(all.includes(rule), rule);
  });

  it('refuses what is no plan, and does not throw', () => {
    const site = checkSiteConfiguration(
      {
        id: 'a',
        coordinator: 'localhost:1',
        credentials: 'c',
        workspace: 'w',
        dataset: { kind: 'none' },
        trainer: { name: 'unet3d', adapter: 'reference' },
      },
      '/',
    );
    for (const text of ['', '{', '{}', '[1]', JSON.stringify({ ...PLAN, rounds: -1 })]) {
      const decision = answerProposal(text, site);
      assert.equal(decision.approved, false, text);
      assert.match((decision as { reason: string }).reason, /^a cannot read the plan: /);
    }
  });
});
