import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** What a program is made of. */
export interface ProgramFiles {
  /** Compiled modules and the assets beside them, relative to the compiled form's folder. */
  readonly files: ReadonlySet<string>;
  /** Packages that these modules load. */
  readonly packages: ReadonlySet<string>;
}

const MAIN = path.join('cli', 'main.js');
/** The compiler writes imports with double quotes, and leaves those that a module makes when it needs them as they were written. */
const IMPORT = /\brequire\((?:"([^"]+)"|'([^']+)')\)/g;

/**
 * What the given commands need: of every room that they reach the whole, because a room also starts modules of its own as
 * programs, by name; of `cli` only what is imported. Other commands are imported when they are called for, and left out.
 *
 * @param compiled folder of the compiled form
 * @throws Error when a module is imported that is not there
 */
export function programFiles(compiled: string, commands: readonly string[]): ProgramFiles {
  const files = new Set<string>();
  const packages = new Set<string>();
  const wanted = [MAIN, ...commands.map((command) => path.join('cli', 'commands', `${command}.js`))];
  for (let file = wanted.pop(); file !== undefined; file = wanted.pop()) {
    const [room] = file.split(path.sep);
    if (files.has(file)) continue;
    files.add(file);
    if (room !== 'cli' && !files.has(room)) {
      files.add(room);
      const inRoom = readdirSync(path.join(compiled, room), { recursive: true, withFileTypes: true });
      for (const entry of inRoom.filter((found) => found.isFile())) {
        wanted.push(path.relative(compiled, path.join(entry.parentPath, entry.name)));
      }
    }
    if (!file.endsWith('.js')) continue;
    for (const [, atOnce, later] of readFileSync(path.join(compiled, file), 'utf8').matchAll(IMPORT)) {
      const name = atOnce ?? later;
      if (!name.startsWith('.')) {
        if (!name.startsWith('node:')) packages.add(packageOf(name));
        continue;
      }
      const target = path.join(path.dirname(file), name);
      const isCommand = path.dirname(target) === path.join('cli', 'commands');
      if (later === undefined || !isCommand) wanted.push(`${target}.js`);
    }
  }
  for (const file of [...files]) if (path.extname(file) === '') files.delete(file);
  return { files, packages };
}

/** `@scope/name` or `name`, of something in that package. */
function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/');
}
