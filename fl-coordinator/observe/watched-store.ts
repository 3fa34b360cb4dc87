import { ClaraError, type ErrorCode } from '../../base/errors';

/**
 * The same object, whose failed promises are told before they reach the caller: methods of the store, and of the readers, writers
 * and uploads that it hands out. Failing iterations (listing, reading a stream) are not seen.
 */
export function watchedStore<T extends object>(store: T, onFailure: (operation: string, code: ErrorCode) => void): T {
  const watch = <O extends object>(object: O): O =>
    new Proxy(object, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const answer: unknown = Reflect.apply(value, target, args);
          if (!(answer instanceof Promise)) return answer;
          return answer.then(
            (result: unknown) => (isHandle(result) ? watch(result) : result),
            (thrown: unknown) => {
              onFailure(String(name), ClaraError.from(thrown).code);
              throw thrown;
            },
          );
        };
      },
    });
  return watch(store);
}

/** Readers, writers and uploads have methods; what a store knows of an object is data. */
function isHandle(result: unknown): result is object {
  if (typeof result !== 'object' || result === null || ArrayBuffer.isView(result)) return false;
  return ['read', 'write', 'append'].some((name) => name in result);
}
