import { ClaraError, hasCode } from '../../base/errors';
import {
  type Credentials,
  formatCredentials,
  loadCredentials,
  parseCredentials,
  saveCredentials,
} from '../../federation/credentials';
import type { Secret } from './secret';

/** Where an operator's credentials are put by the coordinator that leads. */
export interface OperatorHome {
  /** Names it for people. */
  readonly place: string;
  /**
   * True when every leader finds the same there. Then it is the only place, and what is missing or was replaced is made again; a
   * folder of one coordinator may have been emptied by an administrator, who has the credentials elsewhere.
   */
  readonly isShared: boolean;
  /** @returns undefined when there are none */
  load(): Promise<Credentials | undefined>;
  save(credentials: Credentials): Promise<void>;
}

export function operatorInFolder(folder: string): OperatorHome {
  return {
    place: folder,
    isShared: false,
    load: () =>
      loadCredentials(folder).catch((error: unknown) => {
        if (hasCode(error, 'not-found')) return undefined;
        throw error;
      }),
    save: (credentials) => saveCredentials(folder, credentials),
  };
}

/** Put there by a person who wants new ones made: a secret cannot be emptied. */
const ASKS_FOR_NEW = '{}';

export function operatorInSecret(secret: Secret): OperatorHome {
  const place = `the secret ${secret.name}`;
  return {
    place: secret.name,
    isShared: true,
    load: async () => {
      const text = await secret.read();
      if (text === undefined || text === ASKS_FOR_NEW) return undefined;
      const credentials = parseCredentials(text, place);
      if (credentials.identity.kind === 'operator') return credentials;
      throw new ClaraError('corrupt', `${place} holds the credentials of a site, not those of an operator`);
    },
    save: (credentials) => secret.put(formatCredentials(credentials)),
  };
}
