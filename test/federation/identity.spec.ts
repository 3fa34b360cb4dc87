import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatIdentity, operatorIdentity, parseIdentity, siteIdentity } from '../../federation/identity';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
const federation = fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,60}[a-z0-9])?$/);

describe('identity', () => {
  it('is written and read as a SPIFFE ID', () => {
    assert.equal(formatIdentity(siteIdentity('fed.example.org', 'st-marys')), 'spiffe://fed.example.org/site/st-marys');
    assert.equal(formatIdentity(operatorIdentity('fed', 'ann')), 'spiffe://fed/operator/ann');
    fc.assert(
      fc.property(federation, label, fc.boolean(), (name, id, isSite) => {
        const identity = isSite ? siteIdentity(name, id) : operatorIdentity(name, id);
        assert.deepEqual(parseIdentity(formatIdentity(identity)), identity);
      }),
    );
  });

  it('is refused in any other spelling, with the rule', () => {
    for (const text of [
      '',
      'spiffe://fed/site/',
      'spiffe:///site/a',
      'spiffe://fed/site/a/b',
      'spiffe://fed/site/a?x',
      'spiffe://fed/site/a\n',
      ' spiffe://fed/site/a',
      'SPIFFE://fed/site/a',
      'spiffe://Fed/site/a',
      'spiffe://fed/site/A',
      'spiffe://fed/site/-a',
      'spiffe://fed/site/..',
      'spiffe://fed/admin/a',
      'https://fed/site/a',
      `spiffe://fed/site/${'a'.repeat(64)}`,
      `spiffe://${'f'.repeat(500)}/site/a`,
    ]) {
      assert.throws(() => parseIdentity(text), { name: 'ClaraError', code: 'invalid-input', message: /must/ }, text);
    }
  });

  it('is refused when a name breaks its rule', () => {
    assert.throws(() => siteIdentity('fed', 'St Marys'), /site id "St Marys" must be 1-63 characters/);
    assert.throws(() => operatorIdentity('fed/x', 'ann'), /federation name "fed\/x" must be 1-253/);
  });
});
