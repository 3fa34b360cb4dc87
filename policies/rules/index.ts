import type { Rule } from '../rule';
import { boundRoles } from './bound-roles';
import { bucketEncryption, encryptionAtRest } from './encryption-at-rest';
import { gpuFamilies } from './gpu-families';
import { imdsv2 } from './imdsv2';
import { keyCare } from './key-care';
import { leastPrivilege } from './least-privilege';
import { flowLogged, logRetention } from './log-retention';
import { bucketsClosed, noPublicAddress, placedPrivately } from './no-public-address';
import { internetMeetsBalancers, openToTheWorld } from './open-to-the-world';
import { boundPrincipals, explicitProvider, oneAccount, ownAccount } from './own-account';
import { protectedData } from './protected-data';
import { tags } from './tags';
import { storesTlsOnly, tlsOnly } from './tls-only';

/** Every rule of the pack, in the order of README.md. */
export const RULES: readonly Rule[] = [
  encryptionAtRest,
  bucketEncryption,
  keyCare,
  tlsOnly,
  storesTlsOnly,
  noPublicAddress,
  placedPrivately,
  bucketsClosed,
  imdsv2,
  openToTheWorld,
  internetMeetsBalancers,
  logRetention,
  flowLogged,
  leastPrivilege,
  boundPrincipals,
  boundRoles,
  tags,
  protectedData,
  explicitProvider,
  ownAccount,
  oneAccount,
  gpuFamilies,
];
