import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { hasSystemCode, systemCode, unlessCode } from '../../base/system-codes';

describe("codes of the system's errors", () => {
  const failed = (): Promise<string> => readFile('/nothing/here', 'utf8');

  it('are what Node says, and none of what else is thrown', async () => {
    const error = await failed().catch((thrown: unknown) => thrown);
    assert.equal(systemCode(error), 'ENOENT');
    assert.equal(hasSystemCode(error, 'EEXIST', 'ENOENT'), true);
    assert.equal(hasSystemCode(error, 'EEXIST'), false);
    const others = [new Error('x'), Object.assign(new Error('x'), { code: 5 }), new DOMException('x'), null, 'ENOENT'];
    for (const other of others) assert.equal(hasSystemCode(other, 'ENOENT', ''), false);
  });

  it('make a failure nothing where they are expected, and let every other failure through', async () => {
    assert.equal(await unlessCode(Promise.resolve(7), 'ENOENT'), 7);
    assert.equal(await unlessCode(failed(), 'ENOTDIR', 'ENOENT'), undefined);
    await assert.rejects(unlessCode(failed(), 'ENOTDIR'), /ENOENT/);
  });
});
