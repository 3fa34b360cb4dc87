import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { ClaraError } from '../../base/errors';
import { enrol } from '../../federation/enrol';
import { parseInvitation } from '../../federation/invitation';
import { type SiteAgent, startSiteAgent } from '../../fl-site/agent';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import { LongLine } from '../support/long-line';
import { SHIFT_TRAINER, shiftModel } from '../support/shift-model';

/** In the order of their names; the trainer goes by the first letter. */
const SITES = Array.from({ length: 32 }, (_, i) => `${'abcdefgh'[i >> 2]}${i % 4}`);
const area = 'Many sites at once';

describe('32 sites that join at once', function () {
  this.timeout(120_000);
  let federation: Federation;
  const agents: SiteAgent[] = [];

  before(async () => {
    federation = await Federation.start([]);
  });
  after(async () => {
    await Promise.all(agents.map((agent) => agent.close()));
    await federation?.stop();
  });

  const invitations = (sites: readonly string[]) =>
    federation.operate((client) =>
      Promise.all(
        sites.map(async (site) => parseInvitation((await client.inviteSite({ site, validMinutes: 60 })).invitation)),
      ),
    );
  const credentialsOf = (site: string) => path.join(federation.siteFolder(site), 'credentials');

  fault({
    area,
    fault: '32 hospitals enrol, connect, train and send at the same moment',
    where: 'enrolment and service of one coordinator; an agent each, each from an address of its own',
    ends: 'all are in; one round ends with every site, in site order, with the right bytes',
  }).it('enrol, connect, train and send at the same moment', async () => {
    const invited = await invitations(SITES);
    let connections = 0;
    // Each connection comes from another address, as from another hospital.
    const addresses = await LongLine.start(portOf(invited[0]!.enrolment), {
      rttMillis: 0,
      from: () => 2 + (connections++ % 250),
    });
    const enrolled = invited.map(({ site, ...invitation }) =>
      enrol({ site, ...invitation, enrolment: `localhost:${addresses.port}` }, { folder: credentialsOf(site) }),
    );
    await Promise.all(enrolled);
    await addresses.close();

    const connected = SITES.map(async (site) => {
      const folder = federation.siteFolder(site);
      await mkdir(folder, { recursive: true });
      const configuration = checkSiteConfiguration(
        {
          id: site,
          coordinator: `localhost:${federation.port}`,
          credentials: './credentials',
          workspace: './workspace',
          dataset: { kind: 'none' },
          trainer: { name: 'shift', adapter: 'process', command: [process.execPath, SHIFT_TRAINER] },
        },
        folder,
      );
      await new Promise<void>((resolve, reject) => {
        startSiteAgent(configuration, { onEvent: ({ kind }) => kind === 'connected' && resolve() }).then(
          (agent) => agents.push(agent),
          reject,
        );
      });
    });
    await Promise.all(connected);

    const run = await federation.submit({ rounds: 1, deadline: '100s' });
    const { summary, rounds } = await federation.outcomeOf(run);
    assert.equal(summary!.state, 'completed', summary!.reason);
    assert.deepEqual(rounds[0]!.contributors, SITES);
    const expected = shiftModel({ strategy: 'fedavg', elements: 1000, rounds: [SITES] });
    assert.equal(summary!.modelDigest, expected.digest);
  });

  fault({
    area,
    fault: 'a dozen enrolments at once from one address',
    where: 'enrolment of one coordinator',
    reads: 'this address may try to enrol 10 times a minute; wait a minute',
    ends: 'ten are let in, the others are asked to wait; their invitations stay valid',
  }).it('that come from one address are let in ten a minute', async (told) => {
    const more = Array.from({ length: 12 }, (_, i) => `z${i}`);
    const results = await Promise.allSettled(
      (await invitations(more)).map((invitation) => enrol(invitation, { folder: credentialsOf(invitation.site) })),
    );
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    assert.ok(refused.length >= 1, 'nobody was asked to wait');
    for (const error of refused) {
      assert.ok(error instanceof ClaraError && error.code === 'resource-exhausted', String(error));
      told(error.message);
    }
    const { sites } = await federation.operate((client) => client.listSites({}));
    const waiting = sites.filter(({ site, state }) => site.startsWith('z') && state === 'invited');
    assert.equal(waiting.length, refused.length);
  });
});

function portOf(address: string): number {
  return Number(address.split(':').at(-1));
}
