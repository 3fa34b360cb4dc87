import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { pbkdf2 } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { writeFileDurably } from '../../base/durable-file';
import { type FileWaiting, waitForFiles } from '../../base/file-waiting';
import * as files from '../../base/files';
import { hasSystemCode } from '../../base/system-codes';
import { until } from '../support/until';

const digest = promisify(pbkdf2);
const failsWith = (code: string) => (error: unknown) => hasSystemCode(error, code);

for (const waiting of ['in-pool', 'looks-at-once', 'in-place'] as const satisfies readonly FileWaiting[]) {
  describe(`files, waited for ${waiting}`, () => {
    let root: string;
    const at = (...names: string[]) => path.join(root, ...names);
    beforeEach(() => {
      root = mkdtempSync(path.join(tmpdir(), 'clara-files-'));
      waitForFiles(waiting);
    });
    afterEach(() => {
      waitForFiles('in-pool');
      rmSync(root, { recursive: true, force: true });
    });

    it('are read and written at a place, and one after the other', async () => {
      const file = await files.open(at('file'), 'wx+', 0o600);
      assert.equal((await file.stat()).mode & 0o777, 0o600);
      await file.writeAll(Buffer.from('hello '));
      await file.writeAll(Buffer.from('world'));
      assert.deepEqual(await file.write(Buffer.from('xHELx'), 1, 3, 0), { bytesWritten: 3 });
      await file.sync();
      const target = Buffer.alloc(8, '.');
      assert.deepEqual(await file.read(target, 2, 5, 4), { bytesRead: 5 });
      assert.equal(target.toString(), '..o wor.');
      await file.truncate(5);
      assert.deepEqual(await file.read(target, 0, 8, 5), { bytesRead: 0 });
      const { size, mtimeNs } = await file.exactStat();
      assert.equal(size, 5n);
      assert.equal(typeof mtimeNs, 'bigint');
      await file.close();
      assert.equal(readFileSync(at('file'), 'utf8'), 'HELlo');
    });

    it('are read where the last read ended', async () => {
      writeFileSync(at('file'), 'abcdef');
      const file = await files.open(at('file'), 'r');
      const target = Buffer.alloc(4);
      assert.equal((await file.read(target, 0, 4)).bytesRead, 4);
      assert.equal((await file.read(target, 0, 4)).bytesRead, 2);
      assert.equal(target.toString(), 'efcd');
      await file.close();
    });

    it('refuse what the system refuses, with its code', async () => {
      writeFileSync(at('file'), '');
      await assert.rejects(files.open(at('missing'), 'r'), failsWith('ENOENT'));
      await assert.rejects(files.open(at('file'), 'wx'), failsWith('EEXIST'));
      await assert.rejects(files.stat(at('file', 'below')), failsWith('ENOTDIR'));
      await assert.rejects(files.link(at('missing'), at('b')), failsWith('ENOENT'));
      await assert.rejects(files.readFile(root), failsWith('EISDIR'));
      await assert.rejects(files.rmdir(at('file')), failsWith('ENOTDIR'));
    });

    it('are closed once, when what is under way has ended, and then no more used', async () => {
      writeFileSync(at('other'), '');
      const file = await files.open(at('file'), 'wx+');
      const bytes = Buffer.alloc(1000, 7);
      // The pool has four threads or so; the write waits for one.
      const busy = Array.from({ length: 40 }, () => digest('a', 'b', 5000, 32, 'sha256'));
      const writing = file.write(bytes, 0, bytes.length, 0);
      const closing = file.close();
      await assert.rejects(file.read(Buffer.alloc(1), 0, 1, 0), failsWith('EBADF'));
      // Whoever opens now may get the number of a file that is closed, and must not get the bytes that are on their way there.
      const other = await files.open(at('other'), 'r+');
      assert.equal((await writing).bytesWritten, bytes.length);
      await Promise.all([closing, file.close(), other.close(), ...busy]);
      assert.equal(readFileSync(at('file')).length, bytes.length);
      assert.equal(readFileSync(at('other')).length, 0);
    });

    if (waiting === 'in-pool') {
      it('that are pipes are read when their writer comes, and to its end', async () => {
        execFileSync('mkfifo', [at('pipe')]);
        const reading = files.readFile(at('pipe'), 'utf8');
        const script = 'echo one; read -r _; echo two';
        const writer = spawn('sh', ['-c', `{ ${script}; } > ${at('pipe')}`], { stdio: ['pipe', 'ignore', 'inherit'] });
        writer.stdin!.end('go\n');
        assert.equal(await reading, 'one\ntwo\n');
      });
    } else {
      it('that are pipes keep nobody waiting for a writer', async () => {
        execFileSync('mkfifo', [at('pipe')]);
        const pipe = await files.open(at('pipe'), 'r');
        assert.equal((await pipe.stat()).isFIFO(), true);
        await pipe.close();
      });
    }

    it('that were forgotten are closed when their memory is collected', async () => {
      writeFileSync(at('forgotten'), '');
      const isOpen = () =>
        readdirSync('/proc/self/fd').some((fd) => {
          const link = `/proc/self/fd/${fd}`;
          return existsSync(link) && readlinkSync(link) === at('forgotten');
        });
      await files.open(at('forgotten'), 'r');
      assert.equal(isOpen(), true);
      setFlagsFromString('--expose-gc');
      const collect = runInNewContext('gc') as () => void;
      await until(async () => {
        collect();
        return !isOpen();
      }, 'the file is closed');
    });

    it('are read whole, those of /proc too, which have no size', async () => {
      await files.writeFile(at('file'), 'häh');
      assert.equal(await files.readFile(at('file'), 'utf8'), 'häh');
      assert.deepEqual(await files.readFile(at('file')), Buffer.from('häh'));
      await files.writeFile(at('file'), '');
      assert.equal(await files.readFile(at('file'), 'utf8'), '');
      assert.match(await files.readFile(`/proc/${process.pid}/status`, 'latin1'), /VmRSS/);
    });

    it('are replaced by what is longer and shorter', async () => {
      await files.writeFile(at('file'), Buffer.from('long long'));
      await files.writeFile(at('file'), 'short');
      assert.equal(readFileSync(at('file'), 'utf8'), 'short');
      await assert.rejects(files.writeFile(at('file'), 'x', { flag: 'wx' }), failsWith('EEXIST'));
    });

    it('are named, moved, listed and removed', async () => {
      await files.mkdir(at('a', 'b'), { recursive: true });
      await files.writeFile(at('a', 'one'), '1');
      await files.link(at('a', 'one'), at('a', 'two'));
      await files.rename(at('a', 'two'), at('a', 'b', 'three'));
      assert.deepEqual((await files.readdir(at('a'))).sort(), ['b', 'one']);
      const entries = await files.readdir(at('a'), { withFileTypes: true });
      assert.deepEqual(entries.map((entry) => [entry.name, entry.isDirectory()]).sort(), [
        ['b', true],
        ['one', false],
      ]);
      await files.unlink(at('a', 'one'));
      assert.equal((await files.lstat(at('a', 'b', 'three'))).nlink, 1);
      await files.rm(at('a'), { recursive: true });
      assert.equal(existsSync(at('a')), false);
      assert.ok((await files.statfs(root)).bavail > 0);
    });

    it('that are written durably are whole or as before', async () => {
      await writeFileDurably(at('made', 'file'), 'first');
      async function* cutShort(): AsyncGenerator<Uint8Array> {
        yield Buffer.from('sec');
        throw new Error('no more');
      }
      await assert.rejects(writeFileDurably(at('made', 'file'), cutShort()), /no more/);
      assert.equal(readFileSync(at('made', 'file'), 'utf8'), 'first');
      assert.deepEqual(readdirSync(at('made')), ['file']);
    });
  });
}
