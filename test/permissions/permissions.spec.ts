import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../stacks/plans';
import { CIRCUMSTANCES, type Scene } from './circumstances';
import { deployedWorld } from './deployed-world';
import { deployer, type Identity, identitiesOf, roleIn } from './identities';
import { MUTATIONS, mutatedWorld } from './mutations';
import { type JudgedRow, permissionsPage } from './page';
import { placesOf, siteOf } from './places';
import { ask, type Verdict } from './request';
import { crossHospitalCalls, ROWS, type Row } from './table';
import type { World } from './world';

const PAGE = path.join(ROOT, 'docs/permissions.md');
const HOSPITALS = ['prod-charite', 'prod-leeds', 'prod-st-marys'] as const;

describe('effective permissions', () => {
  let world: World;
  let scene: Scene;
  const judged: JudgedRow[] = [];
  let between = '';

  before(async function () {
    this.timeout(180_000);
    world = await deployedWorld();
    scene = { world, places: placesOf(world), who: (key) => everybody(world).find((each) => each.key === key)! };
  });

  for (const row of ROWS) {
    it(`${row.section}: ${row.what}`, async () => {
      const verdicts = await judge(world, row);
      judged.push({ section: row.section, what: row.what, verdicts });
      const why = [...verdicts].map(([key, { by, statements }]) => `${key}: ${[...by, ...statements].join(' ')}`);
      assert.deepEqual(allowed(verdicts), inOrder(row.may), `\n${why.join('\n')}`);
    });
  }

  for (const { what, changed, by, of, but } of CIRCUMSTANCES) {
    it(`${what}, but not ${changed}`, async () => {
      const attempt = of(scene);
      const before = await ask(world, attempt.who, attempt.call);
      assert.ok(before.allowed, [...before.by, ...before.statements, ...before.unseen].join(' '));
      const other = but(attempt, scene);
      const after = await ask(world, other.who, other.call);
      assert.deepEqual(after.by, by, after.statements.join(' '));
      const varied = Object.keys(other.call.context ?? {});
      assert.deepEqual(
        varied.filter((key) => after.unseen.includes(key)),
        [],
        'AWS does not tell policies this of the call',
      );
    });
  }

  for (const mine of HOSPITALS) {
    it(`lets nobody of ${mine} at another hospital`, async () => {
      const who = identitiesOfStack(world, mine);
      const others = HOSPITALS.filter((stack) => stack !== mine);
      for (const stack of others) {
        for (const call of crossHospitalCalls(siteOf(world, stack))) {
          for (const each of who) {
            const verdict = await ask(world, each, call);
            assert.ok(!verdict.allowed, `${each.key}: ${call.action} ${call.resource}`);
          }
        }
      }
      const calls = crossHospitalCalls(siteOf(world, mine)).map(({ action }) => action);
      between = `Every role that the stacks of ${HOSPITALS.length} hospitals make, with their deployments, was asked for \`${[...new Set(calls)].join('`, `')}\` at each of the others: nothing went through.`;
    });
  }

  for (const { what, changes, opens, stays = [] } of MUTATIONS) {
    it(`would show that ${what}`, async () => {
      const broken = mutatedWorld(world, changes);
      for (const [title, keys] of Object.entries(opens)) {
        const row = ROWS.find((each) => each.what === title)!;
        const expected = inOrder(
          [...row.may, ...keys].filter((key) => !key.startsWith('!') && !keys.includes(`!${key}`)),
        );
        const found = allowed(await judge(broken, row));
        assert.notDeepEqual(found, inOrder(row.may), title);
        assert.deepEqual(found, expected, title);
      }
      for (const title of stays) {
        const row = ROWS.find((each) => each.what === title)!;
        assert.deepEqual(allowed(await judge(broken, row)), inOrder(row.may), title);
      }
    });
  }

  it('are those of docs/permissions.md', function () {
    if (judged.length < ROWS.length || between === '') this.skip(); // not all of the tests were chosen
    const page = permissionsPage(judged, identitiesOf(world), CIRCUMSTANCES, between);
    if (process.env.WRITE_PERMISSIONS) writeFileSync(PAGE, page);
    assert.equal(readFileSync(PAGE, 'utf8'), page, 'WRITE_PERMISSIONS=1 writes it anew; look at the change');
  });

  function inOrder(keys: readonly string[]): string[] {
    const known = everybody(world).map(({ key }) => key);
    for (const key of keys) assert.ok(known.includes(key), `nobody is ${key}`);
    return known.filter((key) => keys.includes(key));
  }
});

function everybody(world: World): readonly Identity[] {
  const { inside, outside } = identitiesOf(world);
  return [...inside, ...outside];
}

async function judge(world: World, { call }: Row): Promise<Map<string, Verdict>> {
  const verdicts = new Map<string, Verdict>();
  const asked = call(placesOf(world));
  for (const who of everybody(world)) verdicts.set(who.key, await ask(world, who, asked));
  return verdicts;
}

function allowed(verdicts: ReadonlyMap<string, Verdict>): string[] {
  return [...verdicts].flatMap(([key, verdict]) => (verdict.allowed ? [key] : []));
}

function identitiesOfStack(world: World, stack: string): Identity[] {
  const roles = world.plans[stack].resources.filter(({ type }) => type === 'aws:iam/role:Role');
  return [
    ...roles.map(({ name }) => roleIn(world, stack, name, name, name)),
    deployer(world, stack, 'deployment', 'deployment'),
  ];
}
