import { ClaraError } from './errors';
import { stat } from './files';
import { hasSystemCode } from './system-codes';

/** @throws ClaraError when it cannot be told, for example in a folder that may not be read */
export async function exists(name: string): Promise<boolean> {
  try {
    await stat(name);
    return true;
  } catch (error) {
    if (hasSystemCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw ClaraError.from(error);
  }
}
