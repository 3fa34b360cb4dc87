import type { ResourceRule } from '../rule';

/** Days that a deleted key can still be brought back; KMS allows 7 to 30. */
const LONGEST_WINDOW = 30;

export const keyCare: ResourceRule = {
  name: 'key-care',
  rule: 'A KMS key is rotated every year, and its deletion can be taken back for 30 days: without it the data are gone.',
  *check({ type, props }) {
    if (type !== 'aws:kms/key:Key') return;
    const { enableKeyRotation, deletionWindowInDays, customerMasterKeySpec, bypassPolicyLockoutSafetyCheck } = props;
    const isSymmetric = customerMasterKeySpec === undefined || customerMasterKeySpec === 'SYMMETRIC_DEFAULT';
    if (isSymmetric && enableKeyRotation !== true) {
      yield { field: 'enableKeyRotation', value: enableKeyRotation, wayOut: 'set it to true' };
    }
    if (deletionWindowInDays !== undefined && deletionWindowInDays !== LONGEST_WINDOW) {
      yield { field: 'deletionWindowInDays', value: deletionWindowInDays, wayOut: `set it to ${LONGEST_WINDOW}` };
    }
    if (bypassPolicyLockoutSafetyCheck === true) {
      yield { field: 'bypassPolicyLockoutSafetyCheck', value: true, wayOut: 'leave it out' };
    }
  },
};
