import assert from 'node:assert/strict';
import { type SiteAgent, startSiteAgent } from '../../fl-site/agent';
import { REAL_PACING } from '../../fl-site/backoff';
import type { CoordinatorClient } from '../../fl-site/coordinator-client';
import { CoordinatorLine } from '../../fl-site/coordinator-line';
import type { SiteEvent } from '../../fl-site/site-events';
import { dialInsecure, FakeCoordinator } from './support/fake-coordinator';
import { scriptedTrainer } from './support/scripted-trainer';
import { makeSite, selfSigned, type TestSite } from './support/site';
import { until } from './support/until';

describe('the line to the coordinator that leads', () => {
  it('goes through the addresses in turn, each time on a new channel, and gives the one before up unless only the certificate is new', async () => {
    const open = new Set<number>();
    const dialled: string[] = [];
    const ended: string[] = [];
    const [before, after] = [await selfSigned('a', 1e9), await selfSigned('a', 1e9)];
    const line = new CoordinatorLine(['x:1', 'y:1'], before, (address, { keyPem }) => {
      const number = dialled.push(`${address} ${keyPem === after.keyPem ? 'renewed' : 'first'}`);
      open.add(number);
      const end = (how: string) => () => {
        if (open.delete(number)) ended.push(how);
      };
      return { close: end('closed'), abandon: end('abandoned') } as Partial<CoordinatorClient> as CoordinatorClient;
    });
    line.next();
    line.renew(after);
    line.next();
    assert.deepEqual(dialled, ['x:1 first', 'y:1 first', 'y:1 renewed', 'x:1 renewed']);
    assert.deepEqual([...open], [4]);
    assert.deepEqual(ended, ['abandoned', 'closed', 'abandoned']);
    line.close();
    assert.equal(open.size, 0);
  });

  describe('of an agent', () => {
    let site: TestSite;
    let agent: SiteAgent;
    const coordinators: FakeCoordinator[] = [];

    afterEach(async () => {
      await agent.close();
      for (const each of coordinators.splice(0)) each.kill();
      site.remove();
    });

    it('passes by one that is silent and one that is gone, and moves on when the leader dies', async () => {
      const [silent, gone, first, second] = await Promise.all([
        FakeCoordinator.start({ neverWelcomes: true }),
        FakeCoordinator.start(),
        FakeCoordinator.start(),
        FakeCoordinator.start(),
      ]);
      coordinators.push(silent!, first!, second!);
      gone!.kill();
      const events: SiteEvent[] = [];
      site = await makeSite('a', first!.port, scriptedTrainer('good'));
      const addresses = [silent, gone, first, second].map((each) => `127.0.0.1:${each!.port}`);
      agent = await startSiteAgent(site.configuration({ coordinator: addresses }), {
        dial: dialInsecure,
        pacing: { ...REAL_PACING, random: () => 0.05 },
        onEvent: (event) => events.push(event),
      });
      const connected = () => events.flatMap((event) => (event.kind === 'connected' ? [event.coordinator] : []));
      await until(() => connected().length === 1);
      first!.kill();
      await until(() => connected().length === 2);
      assert.deepEqual(connected(), addresses.slice(2));
    });
  });
});
