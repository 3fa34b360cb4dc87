import assert from 'node:assert/strict';
import { Federation, Operations } from '../../../federation/gen/federation/v1/federation_pb';
import { ALLOWED, authorise, isAllowed, type Role, type Verb } from '../../../fl-coordinator/trust/authorisation';

/** The policy as people read it: one row a verb, one column a role. */
const ROLES: readonly Role[] = ['admin', 'researcher', 'auditor', 'site'];
const EXPECTED = `
  federation.connect       -  -  -  x
  federation.download      -  -  -  x
  federation.upload        -  -  -  x
  federation.uploadStatus  -  -  -  x
  federation.renew         -  -  -  x
  federation.probe         -  -  -  x
  operations.submitRun     x  x  -  -
  operations.listRuns      x  x  x  -
  operations.showRun       x  x  x  -
  operations.watchRun      x  x  x  -
  operations.abortRun      x  x  -  -
  operations.pauseRun      x  x  -  -
  operations.resumeRun     x  x  -  -
  operations.fetchModel    x  x  -  -
  operations.showLedger    x  x  x  -
  operations.showStatistics  x  x  x  -
  operations.uploadModel   x  x  -  -
  operations.registerModel  x  x  -  -
  operations.listModels    x  x  x  -
  operations.showModel     x  x  x  -
  operations.setModelStage  x  -  -  -
  operations.promoteModel  x  -  -  -
  operations.rollbackModel  x  -  -  -
  operations.listSites     x  x  x  -
  operations.inviteSite    x  -  -  -
  operations.revokeSite    x  -  -  -`;

describe('authorisation', () => {
  const rows = EXPECTED.trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/));

  for (const [verb, ...cells] of rows) {
    for (const [column, role] of ROLES.entries()) {
      const allowed = cells[column] === 'x';
      it(`${allowed ? 'lets' : 'does not let'} ${role} call ${verb}`, () => {
        assert.equal(isAllowed(role, verb as Verb), allowed);
        if (allowed) authorise(role, verb as Verb);
        else
          assert.throws(() => authorise(role, verb as Verb), {
            code: 'permission-denied',
            message: new RegExp(`role ${role} may not call ${verb}`),
          });
      });
    }
  }

  it('names every method of the services of identified callers', () => {
    const verbs = [
      ...Object.keys(Federation.method).map((name) => `federation.${name}`),
      ...Object.keys(Operations.method).map((name) => `operations.${name}`),
    ].sort();
    assert.deepEqual(rows.map(([verb]) => verb).sort(), verbs);
    assert.deepEqual(Object.keys(ALLOWED).sort(), verbs);
  });

  it('denies what it does not know', () => {
    for (const verb of ['operations.deleteEverything', 'toString', '']) {
      for (const role of ROLES) assert.equal(isAllowed(role, verb as Verb), false);
    }
    assert.equal(isAllowed('guest' as Role, 'operations.listRuns'), false);
    assert.throws(() => authorise('admin', 'toString' as Verb), /it is for: nobody/);
  });
});
