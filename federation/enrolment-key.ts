import path from 'node:path';
import { writeFileDurably } from '../base/durable-file';
import { ClaraError, hasCode } from '../base/errors';
import { mkdir, readFile, rm, rmdir } from '../base/files';
import { type KeyPair, keyPairOf, makeKeyPair, privateKeyPem } from './certificates';
import { refuseReadableByOthers } from './credentials';

/**
 * The key of an enrolment that has not been answered yet, `enrolment-<id of the token>.key.pem` in the folder of the
 * credentials. It is on disk before the token is sent: a coordinator that died with the token spent completes the enrolment
 * for this key, and for no other.
 */
export class EnrolmentKey {
  private constructor(
    readonly keys: KeyPair,
    private readonly file: string,
    private readonly madeFolder: boolean,
  ) {}

  /** The key of an earlier attempt with this token, or a new one. */
  static async open(folder: string, token: string): Promise<EnrolmentKey> {
    const file = path.join(folder, `enrolment-${token.slice(0, 16).replace(/[^0-9a-f]/g, 'x')}.key.pem`);
    try {
      const pem = await readFile(file, 'utf8');
      await refuseReadableByOthers(file);
      return new EnrolmentKey(await keyPairOf(pem), file, false);
    } catch (error) {
      const failure = ClaraError.from(error, `the key of the earlier enrolment in ${file} cannot be used`);
      if (!hasCode(failure, 'not-found')) throw failure;
    }
    const madeFolder = (await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined;
    const keys = await makeKeyPair();
    await writeFileDurably(file, await privateKeyPem(keys), { mode: 0o600 });
    return new EnrolmentKey(keys, file, madeFolder);
  }

  /** Nothing waits for the key any more: the enrolment is complete, or was refused. */
  async forget(): Promise<void> {
    await rm(this.file, { force: true });
    // Only when it is empty, which it is not after success.
    if (this.madeFolder) await rmdir(path.dirname(this.file)).catch(() => undefined);
  }
}
