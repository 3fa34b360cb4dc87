import assert from 'node:assert/strict';
import { formatInvitation, type Invitation, parseInvitation } from '../../federation/invitation';

const INVITATION: Invitation = {
  federation: 'fed.example.org',
  site: 'st-marys',
  enrolment: 'fed.example.org:8444',
  coordinator: '[2001:db8::1]:8443',
  token: '0123456789abcdef-AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKK',
  rootFingerprint: 'ab'.repeat(32),
  expires: '2031-01-01T00:00:00.000Z',
};

describe('invitation', () => {
  it('is one line of plain characters that reads back as what was written', () => {
    const line = formatInvitation(INVITATION);
    assert.match(line, /^[A-Za-z0-9_-]+$/);
    assert.deepEqual(parseInvitation(line), INVITATION);
  });

  it('survives a mail program that breaks lines and indents', () => {
    const broken = formatInvitation(INVITATION).replace(/(.{60})/g, '$1\r\n  ');
    assert.deepEqual(parseInvitation(`\n${broken}\n`), INVITATION);
  });

  it('is refused when it is cut, not one, or enormous', () => {
    const line = formatInvitation(INVITATION);
    for (const text of [line.slice(0, 40), '', 'hello world!', `${line}=`, 'A'.repeat(5000), 'bnVsbA']) {
      assert.throws(() => parseInvitation(text), { name: 'ClaraError', code: 'invalid-input' }, text);
    }
  });

  it('is refused with every broken part named, and without showing the token', () => {
    const wrong = {
      v: 1,
      ...INVITATION,
      site: 'St Marys',
      enrolment: 'nowhere',
      token: 'se cret',
      rootFingerprint: 'AB',
      extra: 1,
    };
    const line = Buffer.from(JSON.stringify(wrong)).toString('base64url');
    assert.throws(
      () => parseInvitation(line),
      (error: Error & { faults?: { path: string }[] }) => {
        const paths = error.faults?.map(({ path }) => path).sort();
        assert.deepEqual(paths, ['enrolment', 'extra', 'rootFingerprint', 'site', 'token']);
        assert.ok(!error.message.includes('se cret'));
        return true;
      },
    );
    const several = { ...INVITATION, coordinator: 'a.example.org:8443,b.example.org:8443' };
    assert.equal(parseInvitation(formatInvitation(several)).coordinator, several.coordinator);
    assert.throws(() => formatInvitation({ ...INVITATION, coordinator: 'a:1,,b:1' }), /coordinator: must be host:port/);
    assert.throws(() => formatInvitation({ ...INVITATION, coordinator: 'no port' }), /coordinator: must be host:port/);
  });
});
