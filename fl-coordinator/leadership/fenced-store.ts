import type { ObjectStore, ObjectWriter, ResumableUpload } from '../storage/object-store';

/**
 * A store whose writes are refused once the lead is lost. It keeps a former leader from beginning a write; what makes a
 * write harmless that had begun before is written in docs/decisions/0016.
 *
 * @param mustBeHeld throws when this process may not write
 */
export function fencedStore(store: ObjectStore, mustBeHeld: () => void): ObjectStore {
  return {
    get: (key, options) => store.get(key, options),
    head: (key) => store.head(key),
    list: (prefix, options) => store.list(prefix, options),
    openForRanges: (key) => store.openForRanges(key),
    room: () => store.room(),
    put: guarded((...args) => store.put(...args)),
    putIfAbsent: guarded((...args) => store.putIfAbsent(...args)),
    putIfMatch: guarded((...args) => store.putIfMatch(...args)),
    delete: guarded((...args) => store.delete(...args)),
    create: guarded(async (key) => fencedWriter(await store.create(key), mustBeHeld)),
    resumeUpload: guarded(async (...args) => fencedUpload(await store.resumeUpload(...args), mustBeHeld)),
  };

  function guarded<Args extends unknown[], Result>(write: (...args: Args) => Promise<Result>) {
    return async (...args: Args): Promise<Result> => {
      mustBeHeld();
      return write(...args);
    };
  }
}

function fencedWriter(writer: ObjectWriter, mustBeHeld: () => void): ObjectWriter {
  return {
    write: (bytes) => writer.write(bytes),
    finish: async () => {
      mustBeHeld();
      return writer.finish();
    },
    discard: () => writer.discard(),
  };
}

function fencedUpload(upload: ResumableUpload, mustBeHeld: () => void): ResumableUpload {
  return {
    get durableBytes() {
      return upload.durableBytes;
    },
    readDurable: () => upload.readDurable(),
    append: async (bytes) => {
      mustBeHeld();
      return upload.append(bytes);
    },
    checkpoint: () => upload.checkpoint(),
    complete: async () => {
      mustBeHeld();
      return upload.complete();
    },
    suspend: () => upload.suspend(),
    discard: () => upload.discard(),
  };
}
