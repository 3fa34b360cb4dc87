import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

/**
 * Runs README.md as a reader would: every command of its `sh` blocks, in order, each in one bash with the environment that
 * the commands before it have set. What differs from the page is in the tables below and nowhere else.
 */

const ROOT = path.resolve(__dirname, '../..');
const REAL_CT = path.resolve(ROOT, '../shared/data/ct');

/** What stands on the page, and what is typed instead: free ports, and work that a test can wait for. */
const SUBSTITUTIONS: readonly (readonly [pattern: RegExp, typed: string | ((reader: Reader) => string)])[] = [
  [/^npm run demo -- /, `npm run --silent --prefix '${ROOT}' demo -- --sites 1 --rounds 1 --json `],
  [/^npm run plan -- /, `npm run --silent --prefix '${ROOT}' plan -- `],
  [/^export PATH="\$PWD\/bin:\$PATH"$/, `export PATH="${path.join(ROOT, 'bin')}:$PATH"`],
  [/^clara-fed coordinator start .*$/, '$& --listen 127.0.0.1:0 --enrolment 127.0.0.1:0'],
  [/--port 5000/, '--port 0'],
  [/\.\/(Task09_Spleen\.tar|real(?=[/ ]|$))/g, (reader) => path.join(reader.folder, '$1')],
  [/\blocalhost:8443\b/g, (reader) => reader.addresses.get('coordinator')!],
  [/http:\/\/127\.0\.0\.1:5000\//g, (reader) => reader.addresses.get('aiaa')!],
];

/** Commands that end a test run in itself or take minutes: checked to be scripts of package.json, and run elsewhere. */
const SCRIPTS_ONLY: Readonly<Record<string, readonly string[]>> = {
  'npm ci && npm run demo': ['demo'],
  'npm ci && npm test': ['test'],
};

/** Verbs that go on until they are stopped: how they say that they are ready, and what to remember of that. */
const SERVICES: readonly { readonly verb: RegExp; readonly name: string; readonly ready: RegExp }[] = [
  { verb: /^clara-fed coordinator start/, name: 'coordinator', ready: / serves on (\S+);/ },
  { verb: /^clara-fed site start/, name: 'site', ready: / connected {2}(\S+)/ },
  { verb: /^clara-fed aiaa start/, name: 'aiaa', ready: /^annotation server on (\S+)/m },
];

/** Only a bound on a machine that does much else: a service says by itself when it is ready. */
const READY_MILLIS = 90_000;

/** The section of the page that works on data which may be absent here. */
const NEEDS_REAL_CT = 'On real data';

interface ReadmeCommand {
  readonly section: string;
  readonly text: string;
}

/** Commands of the `sh` blocks: one a line, a here-document belongs to the line that opens it. */
function commandsOf(markdown: string): ReadmeCommand[] {
  const commands: ReadmeCommand[] = [];
  let section = '';
  let inBlock = false;
  let inOther = false;
  let open: { lines: string[]; end: string } | undefined;
  for (const line of markdown.split('\n')) {
    if (open) {
      open.lines.push(line);
      if (line === open.end) {
        commands.push({ section, text: open.lines.join('\n') });
        open = undefined;
      }
    } else if (line.startsWith('```')) {
      if (inBlock || inOther) inBlock = inOther = false;
      else if (line === '```sh') inBlock = true;
      else inOther = true;
    } else if (inBlock && line.trim() !== '') {
      const end = /<<'?(\w+)'?$/.exec(line)?.[1];
      if (end) open = { lines: [line], end };
      else commands.push({ section, text: line });
    } else if (!inOther && line.startsWith('## ')) section = line.slice(3);
  }
  assert.equal(open, undefined, 'a here-document of README.md has no end');
  return commands;
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Types commands in one folder, one environment; keeps services running until {@link stop}. */
class Reader {
  /** Where services of this section answer. */
  readonly addresses = new Map<string, string>();
  readonly #services: { readonly process: ChildProcess; readonly ended: Promise<unknown> }[] = [];
  #environment: Readonly<Record<string, string>> = { PATH: `${path.join(ROOT, 'bin')}:${process.env.PATH}` };

  constructor(readonly folder: string) {}

  typed({ text }: ReadmeCommand): string {
    return SUBSTITUTIONS.reduce((command, [pattern, typed]) => {
      if (!new RegExp(pattern.source, pattern.flags.replace('g', '')).test(command)) return command;
      return command.replace(pattern, typeof typed === 'string' ? typed : typed(this));
    }, text);
  }

  /** @returns once the command has ended with 0, or the service that it starts is ready */
  async type(command: ReadmeCommand): Promise<string> {
    const typed = this.typed(command);
    const assignment = /^export (\w+)=(\S+)$/.exec(typed);
    if (assignment) {
      const value = spawnSync('bash', ['-c', `printf %s ${assignment[2]}`], { ...this.#place(), encoding: 'utf8' });
      this.#environment = { ...this.#environment, [assignment[1]]: value.stdout };
      return '';
    }
    const service = SERVICES.find(({ verb }) => verb.test(typed));
    if (service) return this.#startService(typed, service);
    const { code, output } = await this.#run(typed);
    assert.equal(code, 0, `${typed}\n${output}`);
    return output;
  }

  async stop(): Promise<void> {
    for (const { process: child, ended } of this.#services.splice(0).reverse()) {
      child.kill('SIGTERM');
      await ended;
    }
  }

  #place() {
    return { cwd: this.folder, env: { ...process.env, ...this.#environment } };
  }

  #run(typed: string): Promise<Ended> {
    const child = spawn('bash', ['-c', typed], { ...this.#place(), stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, output }));
    });
  }

  async #startService(typed: string, { name, ready }: (typeof SERVICES)[number]): Promise<string> {
    // `exec`: the signal that ends the service reaches it, not a shell in front of it.
    const child = spawn('bash', ['-c', `exec ${typed}`], { ...this.#place(), stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise((resolve) => child.once('close', resolve));
    this.#services.push({ process: child, ended });
    let output = '';
    const address = await new Promise<string>((resolve, reject) => {
      const fail = (why: string) => {
        clearTimeout(timer);
        reject(new Error(`${typed} ${why}:\n${output}`));
      };
      const timer = setTimeout(() => fail('was not ready in time'), READY_MILLIS);
      void ended.then(() => fail('ended'));
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
          const found = ready.exec(output);
          if (!found) return;
          clearTimeout(timer);
          resolve(found[1]);
        });
      }
    });
    this.addresses.set(name, address);
    return output;
  }
}

/** Stands for Task09_Spleen.tar: the one real CT as both the training case and the held-out case. Smoke only. */
async function realDataset(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const id of ['a', 'b']) {
    await copyFile(path.join(REAL_CT, 'ct.nii.gz'), path.join(folder, `ct_${id}.nii.gz`));
    await copyFile(path.join(REAL_CT, 'labels.nii.gz'), path.join(folder, `labels_${id}.nii.gz`));
  }
  const cases = ['a', 'b'].map((id) => ({ image: `./ct_${id}.nii.gz`, label: `./labels_${id}.nii.gz` }));
  const list = { name: 'One patient', labels: { '0': 'background', '1': 'spleen' }, training: cases };
  await writeFile(path.join(folder, 'dataset.json'), JSON.stringify(list));
}

/** The fields of a NIfTI-1 header (nifti1.h) that place the grid: dim, pixdim and the rows of the sform. */
async function gridOf(file: string) {
  const bytes = gunzipSync(await readFile(file));
  const floats = (at: number, count: number) => Array.from({ length: count }, (_, i) => bytes.readFloatLE(at + 4 * i));
  return { dim: [42, 44, 46].map((at) => bytes.readInt16LE(at)), spacing: floats(80, 3), sform: floats(280, 12) };
}

describe('README.md', function () {
  this.timeout(300_000);
  const markdown = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const commands = commandsOf(markdown);
  const sections = [...new Set(commands.map(({ section }) => section))];
  let reader: Reader;

  beforeEach(async () => {
    reader = new Reader(await mkdtemp(path.join(os.tmpdir(), 'clara-readme-')));
  });
  afterEach(async () => {
    await reader.stop();
    await rm(reader.folder, { recursive: true, force: true });
  });

  it('names scripts that exist for what is not run from here', () => {
    const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
    const named = commands.flatMap(({ text }) => SCRIPTS_ONLY[text] ?? []);
    assert.deepEqual(named, ['demo', 'test']);
    for (const script of named) assert.ok(scripts[script], `package.json has no script ${script}`);
  });

  it('links only to files that exist', () => {
    const targets = [...markdown.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1]);
    assert.ok(targets.length > 5);
    assert.deepEqual(
      targets.filter((target) => !existsSync(path.join(ROOT, target))),
      [],
    );
  });

  it('names only tests that exist', () => {
    const named = [...markdown.matchAll(/`(test\/[^`]+)`/g)].map((match) => match[1]);
    assert.ok(named.length > 5);
    assert.deepEqual(
      named.filter((file) => !existsSync(path.join(ROOT, file))),
      [],
    );
  });

  for (const section of sections) {
    const toRun = commands.filter((command) => command.section === section && !(command.text in SCRIPTS_ONLY));
    if (toRun.length === 0) continue;
    it(`works as it says: ${section} (${toRun.length} commands)`, async function () {
      if (toRun.some(({ text }) => text.startsWith('curl')) && spawnSync('curl', ['--version']).error) {
        console.log('      skipped: there is no curl on this machine');
        this.skip();
      }
      if (section === NEEDS_REAL_CT) {
        if (!existsSync(REAL_CT)) {
          console.log(`      skipped: there is no real CT at ${path.relative(ROOT, REAL_CT)}`);
          this.skip();
        }
        await realDataset(path.join(reader.folder, 'Task09_Spleen.tar'));
        await copyFile(path.join(REAL_CT, 'ct.nii.gz'), path.join(reader.folder, 'ct.nii.gz'));
      }
      for (const command of toRun) {
        const output = await reader.type(command);
        if (process.env.SHOW_README) console.log(`$ ${command.text}\n${output}`);
      }
      if (section === NEEDS_REAL_CT) {
        const [scan, mask] = await Promise.all(
          ['ct.nii.gz', 'mask.nii.gz'].map((f) => gridOf(path.join(reader.folder, f))),
        );
        assert.deepEqual(mask, scan);
      }
    });
  }
});
