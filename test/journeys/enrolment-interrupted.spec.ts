import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { FAULT_POINT_VARIABLE } from '../../fl-coordinator/fault-points';
import { fault } from '../support/faults';
import { Federation } from '../support/federation';

describe('an enrolment whose coordinator is killed with the token spent', function () {
  this.timeout(120_000);
  let federation: Federation;
  before(async () => {
    federation = await Federation.start([]);
  });
  after(() => federation?.stop());

  fault({
    area: 'The coordinator is killed or paused',
    fault: 'kill -9 at `enrol.token-spent`, in an enrolment',
    where: 'the process of the coordinator',
    ends: 'running `site enrol` again completes it, with the same key only',
  }).it('is completed by the same command, and by no other key', async () => {
    const invitation = path.join(federation.folder, 'd.invitation');
    await federation.coordinator.stop();
    const doomed = await federation.startCoordinator({ [FAULT_POINT_VARIABLE]: 'enrol.token-spent' });
    assert.equal((await federation.verb('sites', 'invite', 'd', '-o', invitation)).code, 0);
    const enrol = (folder: string) =>
      federation.cli('site', 'enrol', '--invitation', `@${invitation}`, '--credentials', folder);
    const own = path.join(federation.folder, 'd', 'credentials');

    const cut = await enrol(own);
    assert.equal(cut.code, 69, cut.stderr);
    assert.equal((await doomed.ended).signal, 'SIGKILL');

    await federation.startCoordinator();
    const thief = await enrol(path.join(federation.folder, 'thief'));
    assert.equal(thief.code, 77, thief.stderr);
    assert.match(thief.stderr, /has been used/);
    const completed = await enrol(own);
    assert.equal(completed.code, 0, completed.stderr);
    assert.deepEqual(readdirSync(own).sort(), ['chain.pem', 'identity.json', 'key.pem', 'roots.pem']);
    await federation.configureSite('d');
    await federation.startSite('d');
  });
});
