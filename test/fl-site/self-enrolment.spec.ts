import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ClaraError } from '../../base/errors';
import { loadCredentials, saveCredentials } from '../../federation/credentials';
import { enrol } from '../../federation/enrol';
import { siteIdentity } from '../../federation/identity';
import { parseInvitation } from '../../federation/invitation';
import { startSiteAgent } from '../../fl-site/agent';
import { REAL_PACING } from '../../fl-site/backoff';
import { selfEnrolment, usableCredentials } from '../../fl-site/self-enrolment';
import type { SiteEvent } from '../../fl-site/site-events';
import { FEDERATION, FederationFixture } from '../fl-coordinator/trust/support/federation-fixture';
import { freePort } from '../support/free-port';
import { dialInsecure, FakeCoordinator } from './support/fake-coordinator';
import { scriptedTrainer } from './support/scripted-trainer';
import { makeSite, selfSigned } from './support/site';
import { until } from './support/until';

const PLACE = 'secret st-marys-agent-invitation';
const WAITS = `waits for an invitation in ${PLACE}`;
const EMPTY = new ClaraError('not-found', 'nothing there');
/** Longest wait between two looks. */
const POLL_MILLIS = 30_000;

describe('a site that enrols itself', () => {
  let federation: FederationFixture;
  let port: number;
  let credentials: string;
  let events: SiteEvent[];
  let waits: number[];
  let clock: Date;

  beforeEach(async () => {
    federation = await FederationFixture.open();
    ({ port } = await federation.enrolmentServer());
    credentials = path.join(federation.folder, 'sites', 'a');
    events = [];
    waits = [];
    clock = new Date();
  });
  afterEach(() => federation.close());

  const invite = (site = 'a', at = port, minutes = 60) => federation.invite(site, at, minutes);
  /** Looks find these one after the other, and then the last of them again and again; functions do something first. */
  const found = (...looks: readonly (string | ClaraError | (() => Promise<string>))[]) => {
    const left = [...looks];
    return {
      place: PLACE,
      left,
      read: async () => {
        const look = left.length > 1 ? left.shift()! : left[0];
        if (look instanceof ClaraError) throw look;
        return typeof look === 'string' ? look : look();
      },
    };
  };
  const enrolWith = (source: ReturnType<typeof found>, signal = new AbortController().signal) =>
    selfEnrolment(
      {
        site: { id: 'a', credentials },
        source,
        pacing: {
          random: () => 1,
          wait: async (millis) => {
            waits.push(millis);
            await setImmediate();
          },
        },
        onEvent: (event) => events.push(event),
        now: () => clock,
      },
      signal,
    );
  const problems = () => events.flatMap((event) => (event.kind === 'problem' ? [event.message] : []));

  it('says once where it waits, looks often at first and then twice a minute, and enrols with a key of its own', async () => {
    const invitation = await invite();
    const made = await enrolWith(found(...new Array<ClaraError>(8).fill(EMPTY), `${invitation}\n`));
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['enrolment-waits', 'enrolled'],
    );
    assert.deepEqual(events[0], { kind: 'enrolment-waits', message: WAITS });
    assert.ok(waits[0] <= 2000, String(waits));
    assert.equal(Math.max(...waits), POLL_MILLIS);
    assert.deepEqual(made?.identity, siteIdentity(FEDERATION, 'a'));
    assert.deepEqual(await loadCredentials(credentials), made);
    assert.ok(!JSON.stringify(events).includes(parseInvitation(invitation).token));
  });

  for (const [what, make, says] of [
    ['damaged', async () => 'not an invitation', /not one that "clara-fed sites invite" printed/],
    ['of another site', () => invite('b'), /it is for site b, and this is site a/],
    ['expired', () => invite('a', port, 1), /expired at .*ask the coordinator for a new one/],
    ['used by somebody else', () => stolen(), /has been used; if that was not you/],
    ['void, because a newer one was made', () => superseded(), /ask for a new/],
  ] as const) {
    it(`says once that an invitation is ${what}, leaves it alone, and takes the next one`, async () => {
      const bad = await make();
      if (what === 'expired') clock = new Date(Date.now() + 2 * 60_000);
      const good = await invite();
      const unreachable = new ClaraError('unavailable', 'Rate exceeded');
      const looks = [bad, bad, EMPTY, bad, unreachable, bad, `${bad} `, good];
      // What differs by a blank is another text.
      assert.ok(await enrolWith(found(...looks)));
      const told = problems().filter((message) => message !== 'Rate exceeded');
      assert.equal(told.length, 2, problems().join('\n'));
      for (const message of told) {
        assert.match(message, says);
        assert.ok(message.startsWith(`the invitation in ${PLACE} cannot be used, put another one there: `), message);
      }
    });
  }

  const stolen = async () => {
    const invitation = await invite();
    await enrol(parseInvitation(invitation), { folder: path.join(federation.folder, 'thief') });
    return invitation;
  };
  const superseded = async () => {
    const invitation = await invite();
    await invite();
    return invitation;
  };

  it('does not spend the invitation of another site', async () => {
    const other = await invite('b');
    await enrolWith(found(other, await invite()));
    const { identity } = await enrol(parseInvitation(other), { folder: path.join(federation.folder, 'sites', 'b') });
    assert.deepEqual(identity, siteIdentity(FEDERATION, 'b'));
  });

  it('tries the same invitation again while the coordinator cannot be reached, and says so once', async () => {
    const later = await freePort();
    const invitation = await invite('a', later);
    const source = found(invitation, invitation, invitation, async () => {
      await federation.enrolmentServer({ port: later });
      return invitation;
    });
    assert.ok(await enrolWith(source));
    const [told, ...more] = problems();
    assert.match(told, /is tried again: localhost:\d+ cannot be reached/);
    assert.deepEqual(more, []);
  });

  it('tries again while another coordinator answers at the address of the invitation', async () => {
    const strangers = await FederationFixture.open(FEDERATION);
    try {
      const at = await freePort();
      const stranger = await strangers.enrolmentServer({ port: at });
      const invitation = await invite('a', at);
      const source = found(invitation, invitation, async () => {
        await stranger.stop(0);
        await federation.enrolmentServer({ port: at });
        return invitation;
      });
      assert.ok(await enrolWith(source));
      assert.match(problems()[0], /is tried again: .*does not present the root certificate/);
      assert.equal(problems().length, 1);
    } finally {
      await strangers.close();
    }
  });

  it('says at once that it may not read the secret, and once when AWS does not answer, and goes on', async () => {
    const denied = new ClaraError('permission-denied', 'the secret may not be read by this program');
    const throttled = new ClaraError('unavailable', 'Rate exceeded');
    const source = found(denied, denied, EMPTY, throttled, throttled, EMPTY, throttled, await invite());
    assert.ok(await enrolWith(source));
    assert.equal(events[1].kind, 'problem');
    assert.deepEqual(problems(), [denied.message, throttled.message, throttled.message]);
  });

  it('goes on with credentials that somebody makes by hand meanwhile', async () => {
    const invitation = await invite();
    const source = found(EMPTY, async () => {
      await enrol(parseInvitation(invitation), { folder: credentials });
      throw EMPTY;
    });
    assert.deepEqual(await enrolWith(source), await loadCredentials(credentials));
    assert.deepEqual(problems(), []);
  });

  it('waits for a new invitation when its certificate has ended, and says since when', async () => {
    await saveCredentials(credentials, await selfSigned('a', 86400e3, 2 * 86400e3));
    const before = await loadCredentials(credentials);
    assert.equal(await usableCredentials({ id: 'a', credentials }), undefined);
    const made = await enrolWith(found(EMPTY, await invite()));
    assert.match((events[0] as { message: string }).message, /^the certificate ended on \d{4}-.*Z, waits for/);
    assert.notEqual(made?.keyPem, before.keyPem);
  });

  describe('as an agent', () => {
    it('ends at once when it is told to while it waits, and gives its workspace back', async () => {
      const site = await makeSite('a', port, scriptedTrainer('good'));
      try {
        await rm(path.join(site.folder, 'credentials'), { recursive: true });
        const stop = new AbortController();
        const options = { invitation: found(EMPTY), onEvent: (event: SiteEvent) => events.push(event) };
        for (let start = 0; start < 2; start++) {
          events.length = 0;
          const agent = await startSiteAgent(site.configuration(), {
            ...options,
            ...(start === 0 && { signal: stop.signal }),
            // Whoever waits for the clock here waits for ever.
            pacing: { random: () => 1, wait: (_, signal) => REAL_PACING.wait(2 ** 31 - 1, signal) },
          });
          await until(() => events.some(({ kind }) => kind === 'enrolment-waits'));
          await assert.rejects(startSiteAgent(site.configuration(), options), /in use by process/);
          if (start === 0) stop.abort();
          else void agent.close();
          await agent.closed;
        }
      } finally {
        site.remove();
      }
    });

    it('enrols itself when its certificate ends while it runs, and connects with the new one', async () => {
      const coordinator = await FakeCoordinator.start();
      const site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
      const dialled: string[] = [];
      let agent: Awaited<ReturnType<typeof startSiteAgent>> | undefined;
      try {
        const folder = path.join(site.folder, 'credentials');
        const old = await selfSigned('a', 3000);
        await saveCredentials(folder, old);
        agent = await startSiteAgent(site.configuration(), {
          dial: (address, { chainPem }) => {
            dialled.push(chainPem);
            return dialInsecure(address);
          },
          invitation: found(await invite()),
          onEvent: (event) => events.push(event),
        });
        await until(() => events.some(({ kind }) => kind === 'enrolled'));
        const { chainPem } = await loadCredentials(folder);
        assert.notEqual(chainPem, old.chainPem);
        await until(() => dialled.at(-1) === chainPem);
        const enrolled = events.findIndex(({ kind }) => kind === 'enrolled');
        await until(() => events.slice(enrolled).some(({ kind }) => kind === 'connected'));
      } finally {
        await agent?.close();
        coordinator.kill();
        site.remove();
      }
    });

    it('never asks for an invitation when it is enrolled', async () => {
      const coordinator = await FakeCoordinator.start();
      const site = await makeSite('a', coordinator.port, scriptedTrainer('good'));
      let asked = 0;
      const agent = await startSiteAgent(site.configuration(), {
        dial: dialInsecure,
        invitation: { place: PLACE, read: async () => String(asked++) },
      });
      try {
        await coordinator.until(() => coordinator.connected);
        assert.equal(asked, 0);
      } finally {
        await agent.close();
        coordinator.kill();
        site.remove();
      }
    });
  });
});
