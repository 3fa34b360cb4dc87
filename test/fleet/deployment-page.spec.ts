import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { program } from '../../cli/program';

const ROOT = path.resolve(__dirname, '../..');
const PAGE = readFileSync(path.join(ROOT, 'docs/deployment.md'), 'utf8');

/** Fenced blocks of the page in order, with the word after the fence. */
const BLOCKS = [...PAGE.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, kind, text]) => ({ kind, text: text! }));
const blockWith = (words: string): number => BLOCKS.findIndex(({ text }) => text.includes(words));

describe('docs/deployment.md', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'clara-page-'));
    for (const name of readdirSync(ROOT)) {
      if (/^Pulumi.*\.yaml$/.test(name)) cpSync(path.join(ROOT, name), path.join(folder, name));
    }
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const typed = (script: string): string => {
    const env = { ...process.env, PATH: `${path.join(ROOT, 'bin')}:${process.env.PATH}` };
    const { status, stdout, stderr } = spawnSync('bash', ['-euc', script], { cwd: folder, env, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return stdout;
  };

  it('adds a hospital with the commands that it shows, and they answer what it shows', () => {
    const at = blockWith('clara-fed site add leeds-north');
    assert.equal(typed(BLOCKS[at]!.text), BLOCKS[at + 1]!.text);
  });

  it('estimates the cost of that hospital with the command that it shows', () => {
    const [command] = BLOCKS[blockWith('clara-fed site cost')]!.text.split('\n');
    const answer = typed(command!);
    assert.match(answer, /^total +[\d.]+$/m);
    assert.match(answer, /eu-west-2 of \d{4}-\d{2}/);
    assert.match(answer, /Not included: tax/);
  });

  it('uses no verb or option of clara-fed that does not exist', () => {
    const lines = BLOCKS.filter(({ kind }) => kind === 'sh').flatMap(
      ({ text }) => text.match(/^clara-fed .*$/gm) ?? [],
    );
    assert.ok(lines.length >= 5);
    for (const line of lines) {
      const [, noun, verb] = line.split(' ');
      const command: Command | undefined = program(noun)
        .commands.find((one) => one.name() === noun)
        ?.commands.find((one) => one.name() === verb);
      assert.ok(command, line);
      const known = command.options.map(({ long }) => long);
      for (const [option] of line.matchAll(/--[a-z-]+/g)) assert.ok(known.includes(option), `${option} in ${line}`);
    }
  });
});
