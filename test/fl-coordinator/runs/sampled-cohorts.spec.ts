import assert from 'node:assert/strict';
import { openTasks } from '../../../fl-coordinator/runs/tasks';
import { opened, reasonOf, SITES, started, TRAIN_ONLY } from './courses';
import { Story } from './story';

describe('a sampled cohort', () => {
  it('is drawn anew for each round, from the seed of the plan, and evaluations ask everybody', () => {
    const play = (seed: number) => {
      const story = started({ rounds: 8, cohort: { sample: 2 }, seed });
      while (!story.state.outcome) story.answerAll();
      return story;
    };
    const story = play(1);
    const cohorts = opened(story, 'train').map(({ cohort }) => cohort);
    assert.ok(cohorts.every((cohort) => cohort.length === 2 && cohort[0]! < cohort[1]!));
    assert.ok(new Set(cohorts.map(String)).size > 2);
    assert.ok(opened(story, 'train').every(({ seed }) => seed !== undefined));
    assert.deepEqual(opened(play(1), 'train'), opened(story, 'train'));
    assert.notDeepEqual(
      opened(play(2), 'train').map(({ cohort }) => cohort),
      cohorts,
    );
    assert.ok(opened(story, 'evaluate').every(({ cohort }) => cohort.length === SITES.length));
  });

  it('asks every site about as often as the others', () => {
    const story = started({ rounds: 200, cohort: { sample: 1 }, evaluation: TRAIN_ONLY });
    while (!story.state.outcome) story.answerAll();
    const asked = opened(story, 'train').flatMap(({ cohort }) => cohort);
    for (const site of SITES) {
      const times = asked.filter((other) => other === site).length;
      // 50 expected, standard deviation 6.1.
      assert.ok(times > 25 && times < 75, `${site} was asked ${times} times`);
    }
  });

  it('holds every mandatory site, and a round without one fails with a sentence', () => {
    const story = started({ rounds: 9, cohort: { sample: 2 }, quorum: 1, mandatory: ['d'], evaluation: TRAIN_ONLY });
    for (let i = 0; i < 8; i++) story.answerAll();
    assert.ok(opened(story, 'train').every(({ cohort }) => cohort.includes('d')));
    const { stage } = openTasks(story.state)[0]!;
    story.command({ kind: 'lose-site', stage, site: 'd', reason: 'no GPU' });
    assert.equal(reasonOf(story), 'round 9 cannot close without d, which is mandatory (d: no GPU)');
  });

  it('needs the approval of as many sites as a round asks, and of the mandatory ones', () => {
    const story = new Story({ cohort: { sample: 2 }, mandatory: ['a'] }, SITES);
    story.command({ kind: 'refuse', site: 'b', reason: 'no' });
    story.command({ kind: 'refuse', site: 'c', reason: 'no' });
    story.command({ kind: 'approve', site: 'd' });
    story.command({ kind: 'approve', site: 'a' });
    assert.equal(story.state.open?.stage.kind, 'initialise');
    const refused = new Story({ cohort: { sample: 2 }, mandatory: ['a'] }, SITES);
    refused.command({ kind: 'refuse', site: 'a', reason: 'more rounds than allowed' });
    assert.equal(reasonOf(refused), 'a, which is mandatory, refused the plan (more rounds than allowed)');
  });

  it('has its quorum within the sample', () => {
    const story = started({ rounds: 1, cohort: { sample: 2 }, evaluation: TRAIN_ONLY });
    story.command({
      kind: 'lose-site',
      stage: openTasks(story.state)[0]!.stage,
      site: openTasks(story.state)[0]!.site,
      reason: 'x',
    });
    assert.match(reasonOf(story), /quorum of 2/);
  });
});
