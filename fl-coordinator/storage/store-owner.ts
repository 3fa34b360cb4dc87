import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { readFile, rename, stat, writeFile } from '../../base/files';
import { hasSystemCode, unlessCode } from '../../base/system-codes';

/**
 * Who holds a lock or writes a partial file: one open store of one process. Each writes its card into the folder `owners`;
 * a lock is a hard link to it. A card tells whether its owner still lives, so what kill -9 left behind can be told from what
 * is in use.
 */

/** Process numbers repeat; together with its start time and the boot of the machine, a process has one name for ever. */
export const processCardSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{16}$/),
  pid: z.number().int().positive(),
  /** Clock ticks from boot to the start of the process; 0 where the system does not tell. */
  started: z.string(),
  /** Which boot of which machine. */
  boot: z.string(),
  /** Process numbers of another container say nothing here. */
  namespace: z.string(),
});

export type OwnerCard = z.infer<typeof processCardSchema>;

/** Differs between any two boots of any two machines; a host name does not. */
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** How long an owner in another container may be silent before it counts as dead: locks are held for milliseconds. */
export const FOREIGN_SILENCE_MS = 10 * 60e3;

export const newOwnerCard = (): OwnerCard => ({
  id: randomBytes(8).toString('hex'),
  pid: process.pid,
  started: startOf(process.pid) ?? '0',
  boot: BOOT,
  namespace: NAMESPACE,
});

const CARD_ENDING = '.json';

/** True for the name of a card; of what else is in the folder, nobody is the owner yet. */
export const isOwnerCard = (name: string): boolean => name.endsWith(CARD_ENDING);

/** Whoever sweeps takes a card that it cannot read for a dead owner's, so a card is seen only when it is whole. */
export async function writeOwnerCard(folder: string, card: OwnerCard): Promise<string> {
  const file = path.join(folder, `${card.id}${CARD_ENDING}`);
  const unseen = path.join(folder, `${card.id}.new`);
  await writeFile(unseen, JSON.stringify(card), { flag: 'wx', mode: 0o600 });
  await rename(unseen, file);
  return file;
}

/**
 * The card in a file that may be a lock. Undefined when the file is gone; `unreadable` when it holds no card: cards are
 * whole before they are linked, so only a power cut leaves such a file.
 */
export async function readOwnerCard(file: string): Promise<OwnerCard | 'unreadable' | undefined> {
  const text = await unlessCode(readFile(file, 'utf8'), 'ENOENT');
  if (text === undefined) return undefined;
  try {
    return processCardSchema.parse(JSON.parse(text));
  } catch {
    return 'unreadable';
  }
}

/** True when the owner of this card can never act again. `file` is a name of the card. */
export async function isDead(card: OwnerCard | 'unreadable', file: string): Promise<boolean> {
  if (card === 'unreadable' || card.boot !== BOOT) return true;
  if (card.namespace !== NAMESPACE) return silentFor(file, FOREIGN_SILENCE_MS);
  return startOf(card.pid) !== card.started;
}

/**
 * True when this machine can prove that the process of a card has ended, wherever the card was found: it was one of this
 * boot and this container. Of any other nothing is known here.
 */
export function isProvenDead({ pid, started, boot, namespace }: OwnerCard): boolean {
  return HAS_BOOT_ID && boot === BOOT && namespace === NAMESPACE && startOf(pid) !== started;
}

/** Linking and unlinking touch the change time of a file, so it tells when its owner last took or left a lock. */
async function silentFor(file: string, millis: number): Promise<boolean> {
  const found = await unlessCode(stat(file), 'ENOENT');
  return found !== undefined && Date.now() - found.ctimeMs > millis;
}

const HAS_BOOT_ID = existsSync(BOOT_ID_FILE);
const BOOT = readBoot();
const NAMESPACE = readNamespace();

function readBoot(): string {
  try {
    return readFileSync(BOOT_ID_FILE, 'utf8').trim();
  } catch {
    return hostname();
  }
}

function readNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** When the process started; undefined when there is none or it is a zombie. Field 22 of proc(5) `/proc/pid/stat`. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in parentheses, may itself hold blanks and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch (error) {
    if (NAMESPACE !== '' && hasSystemCode(error, 'ENOENT')) return undefined;
    return answersSignals(pid) ? '0' : undefined;
  }
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasSystemCode(error, 'EPERM');
  }
}
