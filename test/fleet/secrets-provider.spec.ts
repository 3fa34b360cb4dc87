import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PulumiStacks } from '../../fleet/pulumi-stacks';
import { type TemporaryProject, temporaryProject } from './support';

/** A CLI that writes down what it is asked, knows the stack `dev-there`, and does nothing. */
const CLI = `#!/bin/sh
[ "$1" = version ] && { echo v3.248.0; exit 0; }
echo "$@" >> "$ASKED"
case "$*" in
  "stack select"*dev-new*) echo "error: no stack named 'dev-new' found" >&2; exit 255 ;;
  "stack select"*|"stack init"*) exit 0 ;;
esac
exit 1
`;

describe('the secrets provider of a fleet', () => {
  let at: TemporaryProject;
  let bin: string;
  const before = process.env.PATH;
  beforeEach(() => {
    at = temporaryProject(['new', 'there']);
    bin = mkdtempSync(path.join(tmpdir(), 'clara-pulumi-'));
    writeFileSync(path.join(bin, 'pulumi'), CLI);
    chmodSync(path.join(bin, 'pulumi'), 0o755);
    process.env.PATH = `${bin}${path.delimiter}${before}`;
  });
  afterEach(() => {
    process.env.PATH = before;
    rmSync(bin, { recursive: true, force: true });
    at.remove();
  });

  const asked = async (stack: string, secretsProvider?: string): Promise<string[]> => {
    const file = path.join(bin, 'asked');
    const options = { project: at.folder, environment: { ASKED: file } };
    const stacks = await PulumiStacks.open({ ...options, ...(secretsProvider && { secretsProvider }) });
    await assert.rejects(stacks.run('up', stack, new AbortController().signal), /up of dev-/);
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('stack '));
  };

  it('encrypts a stack that is made', async () => {
    const key = 'awskms://alias/clara-dev?region=eu-west-2';
    const [, made] = await asked('dev-new', key);
    assert.match(made, /^stack init dev-new --secrets-provider awskms:\/\/alias\/clara-dev\?region=eu-west-2\b/);
  });

  it("is the backend's when none is named", async () => {
    const [, made] = await asked('dev-new');
    assert.match(made, /^stack init dev-new(?!.*secrets)/);
  });

  it('is left as it is where the stack is there', async () => {
    const calls = await asked('dev-there', 'passphrase');
    assert.match(calls[0], /^stack select\b.*dev-there/);
    assert.ok(calls.every((call) => !/init|secrets/.test(call)));
  });

  it('must be one that Pulumi knows', async () => {
    for (const wrong of ['kms://alias/a', 'awskms://', 'arn:aws:kms:eu-west-2:111122223333:key/5d6c', '']) {
      const opened = PulumiStacks.open({ project: at.folder, secretsProvider: wrong });
      await assert.rejects(opened, /it must be default, passphrase, or the URL of a key such as awskms:/);
    }
  });
});
