import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { StackResource } from '../../policies/rule';
import { sentence } from '../../policies/rule';
import { RULES } from '../../policies/rules';
import { CARE_CASES } from './cases/care';
import { findings } from './cases/case';
import { ENCRYPTION_CASES } from './cases/encryption';
import { NETWORK_CASES } from './cases/network';
import { RIGHTS_CASES } from './cases/rights';
import { TLS_CASES } from './cases/tls';
import { changed } from './change';

const CASES = [...ENCRYPTION_CASES, ...TLS_CASES, ...NETWORK_CASES, ...RIGHTS_CASES, ...CARE_CASES];

describe('policy pack', () => {
  it('has cases for each of its rules', () => {
    assert.deepEqual(CASES.map(({ rule }) => rule.name).sort(), RULES.map(({ name }) => name).sort());
  });

  it('explains each of its rules in its README', () => {
    const readme = readFileSync(path.join(__dirname, '../../policies/README.md'), 'utf8');
    assert.deepEqual(
      [...readme.matchAll(/^\| `([a-z0-9-]+)` +\|/gm)].map(([, name]) => name),
      RULES.map(({ name }) => name),
    );
  });

  it('lets what is old pass with a warning, and nothing else', () => {
    assert.deepEqual(
      RULES.filter(({ level }) => level === 'advisory').map(({ name }) => name),
      ['gpu-families'],
    );
  });
});

for (const { rule, good, broken } of CASES) {
  describe(`policy ${rule.name}`, () => {
    it('lets pass what keeps it', () => {
      assert.deepEqual(findings(rule, good), []);
    });

    for (const { of, set, field = set[0].replace(/^props\./, ''), at = of } of broken) {
      const [where, value] = set;
      it(`finds ${of}: ${where} = ${JSON.stringify(value) ?? 'nothing'}`, () => {
        assert.equal(good.filter(({ name }) => name === of).length, 1, `one resource ${of}`);
        const resources = good.map((one) => (one.name === of ? (changed(one, where, value) as StackResource) : one));
        const found = findings(rule, resources).map((finding) => `${finding.of.name}: ${finding.field}`);
        assert.ok(found.includes(`${at}: ${field}`), `found ${JSON.stringify(found)}`);
      });
    }
  });
}

describe('sentence of a finding', () => {
  const [{ good }] = ENCRYPTION_CASES;

  it('names the resource, the field, the value and the way out', () => {
    assert.equal(
      sentence(good[0], { field: 'encrypted', value: false, wayOut: 'set it to true' }),
      'files (aws:efs/fileSystem:FileSystem): encrypted is false; set it to true',
    );
  });

  it('says when nothing is there', () => {
    assert.match(sentence(good[0], { field: 'kmsKeyId', wayOut: 'name one' }), /kmsKeyId is not set; name one$/);
  });

  it('does not show what a tag tells of a person', () => {
    const tagged = { ...good[0], props: { tags: { PatientName: 'Smith' } } };
    const rule = RULES.find(({ name }) => name === 'tags')!;
    const [finding] = findings(rule, [tagged]);
    assert.doesNotMatch(sentence(tagged, finding), /Smith/);
  });
});
