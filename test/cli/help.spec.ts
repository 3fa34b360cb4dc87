import assert from 'node:assert/strict';
import type { Command } from 'commander';
import { program } from '../../cli/program';
import { Program, type ProgramEnd } from '../support/program';

const run = (...args: readonly string[]): Promise<ProgramEnd> => new Program(args).ended;

interface Verb {
  readonly name: string;
  /** What `--help` prints. */
  readonly help: string;
}

function verbsOf(command: Command, path: readonly string[] = []): Verb[] {
  if (command.commands.length > 0) return command.commands.flatMap((child) => verbsOf(child, [...path, child.name()]));
  let help = '';
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  return [{ name: path.join(' '), help }];
}

describe('the help of clara-fed', () => {
  const verbs = verbsOf(program());

  it('is there for every verb that the documentation names', () => {
    const names = new Set(verbs.map(({ name }) => name));
    for (const [group, below] of [
      ['sites', ['invite', 'list', 'revoke']],
      ['site', ['enrol', 'start', 'preflight']],
      ['run', ['submit', 'list', 'show', 'watch', 'ledger', 'abort']],
      ['dataset', ['phantom', 'inspect']],
    ] as const) {
      for (const verb of below) assert.ok(names.has(`${group} ${verb}`), `${group} ${verb}`);
    }
    for (const name of ['demo', 'coordinator start', 'model fetch', 'statistics', 'aiaa start', 'trainer check']) {
      assert.ok(names.has(name), name);
    }
  });

  for (const { name, help } of verbs) {
    it(`has an example and the exit codes at ${name}`, () => {
      const [, example = ''] = /\nExample:\n([\s\S]*?)\n\n/.exec(help) ?? [];
      assert.ok(example.includes(`clara-fed ${name}`), help);
      assert.match(help, /Exit codes.*\n.*64 bad input/);
    });
    // What a trainer prints is fixed by its contract: JSON lines, always.
    if (name !== 'trainer reference') it(`has --json at ${name}`, () => assert.match(help, /^ +--json /m));
  }

  it('is printed with exit code 0', async () => {
    const { code, stdout, stderr } = await run('run', 'submit', '--help');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^Usage: clara-fed run submit/);
    assert.match(stdout, /Exit codes/);
  });
});

describe('clara-fed that is used wrongly says so in one line and exits with 64', () => {
  for (const [what, args, says] of [
    ['an unknown option', ['run', 'list', '--operator', 'x', '--colour'], /unknown option '--colour'/],
    ['an unknown verb', ['run', 'dance'], /unknown command 'dance'/],
    ['an unknown command', ['fly'], /unknown command 'fly'/],
    ['a missing argument', ['run', 'show', '--operator', 'x'], /missing required argument 'run'/],
    ['a missing option', ['run', 'list'], /--operator/],
    ['a number that is none', ['sites', 'invite', 'a', '--operator', 'x', '--valid', 'soon'], /--valid "soon"/],
    ['a round that is none', ['model', 'fetch', 'r', '-o', 'x', '--operator', 'x', '--round', '-'], /--round "-"/],
    ['an address that is none', ['coordinator', 'start', '--workspace', 'x', '--listen', 'here'], /"here".*host:port/],
  ] as const) {
    it(what, async () => {
      const environment = { CLARA_FED_OPERATOR: undefined };
      const { code, stdout, stderr } = await new Program(args, { environment }).ended;
      assert.equal(code, 64, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, says);
      assert.match(stderr, /^clara-fed: [^\n]+\n$/);
    });
  }

  it('as a JSON object with --json', async () => {
    const { code, stderr } = await run('run', 'list', '--operator', 'no-such-folder', '--json');
    assert.equal(code, 66);
    const { event, code: name } = JSON.parse(stderr) as Record<string, string>;
    assert.deepEqual([event, name], ['error', 'not-found']);
  });
});
