import { once } from 'node:events';
import { ClaraError, hasCode } from '../../base/errors';
import type { ObjectStore } from '../../fl-coordinator/storage/object-store';
import { openDescribed, type StoreDescription } from './described-store';

/** What a child process does with the store; see {@link StoreProcess} in store-process.ts. */
export type StoreAction =
  | { readonly kind: 'put'; readonly key: string; readonly pieces: readonly string[]; readonly repeat?: number }
  | { readonly kind: 'put-if-absent'; readonly key: string; readonly text: string }
  /** Tries to create `key/0`, `key/1`, ... and to leave its text in them. */
  | { readonly kind: 'create-many'; readonly key: string; readonly text: string; readonly times: number }
  | { readonly kind: 'put-if-match'; readonly key: string; readonly text: string; readonly etag: string }
  | { readonly kind: 'delete'; readonly key: string }
  /** Adds 1 to a number by get and putIfMatch, again until it succeeds. */
  | { readonly kind: 'increment'; readonly key: string; readonly times: number }
  /** Appends pieces with a checkpoint after each, then completes, unless it is to stay open until the process is killed. */
  | {
      readonly kind: 'upload';
      readonly key: string;
      readonly size: number;
      readonly pieces: readonly string[];
      /** Makes long pieces of short texts. @default 1 */
      readonly repeat?: number;
      readonly keepOpen?: boolean;
    };

async function act(store: ObjectStore, action: StoreAction): Promise<void> {
  const { key } = action;
  switch (action.kind) {
    case 'put':
      await store.put(key, piecesOf(action));
      return;
    case 'put-if-absent':
      await store.putIfAbsent(key, Buffer.from(action.text));
      return;
    case 'create-many':
      for (let i = 0; i < action.times; i++) await createOrLose(store, `${key}/${i}`, action.text);
      return;
    case 'put-if-match':
      await store.putIfMatch(key, Buffer.from(action.text), action.etag);
      return;
    case 'delete':
      await store.delete(key);
      return;
    case 'increment':
      for (let done = 0; done < action.times; ) if (await increment(store, key)) done++;
      return;
    case 'upload': {
      const upload = await store.resumeUpload(key, { size: action.size });
      for (const piece of piecesOf(action)) {
        await upload.append(piece);
        await upload.checkpoint();
      }
      if (action.keepOpen) {
        process.stdout.write('open\n');
        await once(process.stdin, 'end');
      }
      await upload.complete();
    }
  }
}

function piecesOf({ pieces, repeat = 1 }: { readonly pieces: readonly string[]; readonly repeat?: number }): Buffer[] {
  return pieces.map((piece) => Buffer.from(piece.repeat(repeat)));
}

async function createOrLose(store: ObjectStore, key: string, text: string): Promise<void> {
  await store.putIfAbsent(key, Buffer.from(text)).then(
    () => process.stdout.write(`${key}\n`),
    (error: unknown) => {
      if (!hasCode(error, 'precondition-failed')) throw error;
    },
  );
}

async function increment(store: ObjectStore, key: string): Promise<boolean> {
  const { bytes, etag } = await store.get(key);
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes) pieces.push(piece);
  try {
    await store.putIfMatch(key, Buffer.from(String(Number(Buffer.concat(pieces)) + 1)), etag);
    return true;
  } catch (error) {
    if (hasCode(error, 'precondition-failed')) return false;
    throw error;
  }
}

async function main(): Promise<void> {
  const [description, action] = process.argv.slice(2).map((text) => JSON.parse(text)) as [
    StoreDescription,
    StoreAction,
  ];
  const { store, close } = await openDescribed(description);
  process.stdout.write('ready\n');
  await once(process.stdin, 'readable');
  process.stdin.resume();
  const outcome = await act(store, action).then(
    () => 'done',
    (error: unknown) => ClaraError.from(error).code,
  );
  await close();
  process.stdout.write(`${outcome}\n`);
  process.stdin.destroy();
}

void main();
