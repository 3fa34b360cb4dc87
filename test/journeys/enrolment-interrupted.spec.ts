import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';
import type { Program } from '../support/program';

describe('an enrolment whose coordinator is killed with the token spent', function () {
  this.timeout(120_000);
  let federation: Federation;
  before(async () => {
    federation = await Federation.start([]);
  });
  after(() => federation?.stop());

  /** @returns the coordinator that dies with the token of site d spent */
  const doomedCoordinator = async (): Promise<Program> => {
    await federation.coordinator.stop();
    return federation.startCoordinator({ [FAULT_POINT_VARIABLE]: 'enrol.token-spent' });
  };
  const invite = async (site: string): Promise<string> => {
    const invitation = path.join(federation.folder, `${site}.invitation`);
    assert.equal((await federation.verb('sites', 'invite', site, '-o', invitation)).code, 0);
    return invitation;
  };
  const enrol = (invitation: string, credentials: string) =>
    federation.cli('site', 'enrol', '--invitation', `@${invitation}`, '--credentials', credentials);
  const WHOLE = ['chain.pem', 'identity.json', 'key.pem', 'roots.pem'];

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 at `enrol.token-spent`, in an enrolment',
    where: 'the process of the coordinator',
    ends: 'running `site enrol` again completes it, with the same key only',
  }).it('is completed by the same command, and by no other key', async () => {
    const doomed = await doomedCoordinator();
    const invitation = await invite('d');
    const own = path.join(federation.folder, 'd', 'credentials');

    const cut = await enrol(invitation, own);
    assert.equal(cut.code, 69, cut.stderr);
    assert.equal((await doomed.ended).signal, 'SIGKILL');

    await federation.startCoordinator();
    const thief = await enrol(invitation, path.join(federation.folder, 'thief'));
    assert.equal(thief.code, 77, thief.stderr);
    assert.match(thief.stderr, /has been used/);
    const completed = await enrol(invitation, own);
    assert.equal(completed.code, 0, completed.stderr);
    assert.deepEqual(readdirSync(own).sort(), WHOLE);
    await federation.configureSite('d');
    await federation.startSite('d');
  });

  fault({
    area: 'Sites and their trainers',
    fault: 'kill -9 of the agent, and of the coordinator, while the site enrols itself',
    where: 'both processes, with the token spent and no certificate',
    ends: 'the next agent completes it with the key that was made',
  }).it('is completed by the next agent when both were killed, with the key that was made', async () => {
    await federation.configureSite('e');
    const credentials = path.join(federation.siteFolder('e'), 'credentials');
    federation.siteOptions.set('e', ['--invitation', `@${path.join(federation.folder, 'e.invitation')}`]);
    const agent = federation.launchSite('e');
    const { message } = await agent.record(({ event }) => event === 'enrolment-waits', 'the agent waits');
    assert.match(String(message), /^waits for an invitation in .*e\.invitation$/);
    const doomed = await doomedCoordinator();
    await invite('e');
    assert.equal((await doomed.ended).signal, 'SIGKILL');
    await agent.record(({ event }) => event === 'problem', 'the agent says that it tries again');
    agent.kill('SIGKILL');
    await agent.ended;
    const [kept, ...others] = readdirSync(credentials);
    assert.deepEqual(others, []);
    const key = readFileSync(path.join(credentials, kept!), 'utf8');

    await federation.startCoordinator();
    await federation.startSite('e');
    assert.deepEqual(readdirSync(credentials).sort(), WHOLE);
    assert.equal(readFileSync(path.join(credentials, 'key.pem'), 'utf8'), key);
  });
});
