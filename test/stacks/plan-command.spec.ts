import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT } from './plans';

const STACK_FILE = 'Pulumi.dev-st-marys.yaml';

/** `npm run plan`, as a person uses it; what a plan contains is the business of other specs. */
describe('npm run plan', function () {
  this.timeout(180_000);
  let folder: string;
  let environment: NodeJS.ProcessEnv;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'plan-command-'));
    // What this spec commits lies here and goes with the folder; the repository sees it for the length of a test.
    const objects = git({}, 'rev-parse', '--path-format=absolute', '--git-path', 'objects').trim();
    environment = {
      ...process.env,
      GIT_OBJECT_DIRECTORY: folder,
      GIT_ALTERNATE_OBJECT_DIRECTORIES: objects,
    };
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('shows with --diff what has changed since a revision, here in who reaches whom, and leaves nothing behind', async () => {
    const before = revisionWith(STACK_FILE, (text) => text.replace('- 10.120.0.0/16', '- 10.121.0.0/16'));
    const { code, output, errors } = await ended(plan('dev-st-marys', '--reach', '--diff', before));
    assert.deepEqual([code, errors], [0, '']);
    const changes = output.split('\n').filter((line) => /^[-+](?![-+])/.test(line));
    const doors = changes.filter((line) => !line.endsWith('-> listed clients  443'));
    assert.deepEqual(doors, ['-listed clients', '-  -> load balancer  80', '+  -> load balancer  80']);
    assert.doesNotMatch(git({}, 'worktree', 'list'), /plan-/);
  });

  it('ends quietly when its reader has read enough, as head does', async () => {
    const child = plan('prod-charite');
    const end = ended(child);
    await once(child.stdout!, 'data');
    child.stdout!.destroy();
    const { code, errors } = await end;
    assert.deepEqual([code, errors], [0, '']);
  });

  it('says how it is called', async () => {
    const { code, errors } = await ended(plan('dev-st-marys', '--json', '--reach'));
    assert.equal(code, 64);
    assert.match(errors, /^usage: npm run plan -- STACK \[--diff REF\] \[--json \| --reach\]/);
  });

  function plan(...words: readonly string[]): ChildProcess {
    return spawn('node', ['-r', 'ts-node/register/transpile-only', 'scripts/plan.ts', ...words], {
      cwd: ROOT,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** A commit on HEAD in which a file has another content. */
  function revisionWith(file: string, change: (text: string) => string): string {
    const index = { ...environment, GIT_INDEX_FILE: path.join(folder, 'index') };
    const text = git(index, 'show', `HEAD:${file}`);
    const changed = path.join(folder, 'changed');
    assert.notEqual(change(text), text);
    writeFileSync(changed, change(text));
    git(index, 'read-tree', 'HEAD');
    const blob = git(index, 'hash-object', '-w', changed).trim();
    git(index, 'update-index', '--cacheinfo', `100644,${blob},${file}`);
    const tree = git(index, 'write-tree').trim();
    const who = ['-c', 'user.name=spec', '-c', 'user.email=spec@example.org'];
    return git(index, ...who, 'commit-tree', tree, '-p', 'HEAD', '-m', 'another content').trim();
  }
});

function git(env: NodeJS.ProcessEnv, ...words: readonly string[]): string {
  return execFileSync('git', words, { cwd: ROOT, encoding: 'utf8', env: { ...process.env, ...env } });
}

async function ended(child: ChildProcess) {
  let output = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output, errors };
}
