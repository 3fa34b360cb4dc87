import { stat } from 'node:fs/promises';
import { ClaraError } from './errors';

/** @throws ClaraError when it cannot be told, for example in a folder that may not be read */
export async function exists(name: string): Promise<boolean> {
  try {
    await stat(name);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw ClaraError.from(error);
  }
}
