import { stackOf } from '../properties';
import type { PlannedResource, ResourceRule } from '../rule';

/** What cannot be made again, and a key without which the rest cannot be read. */
const DATA: readonly string[] = [
  'aws:efs/fileSystem:FileSystem',
  'aws:kms/key:Key',
  'aws:organizations/account:Account',
  'aws:rds/instance:Instance',
  'aws:s3/bucket:Bucket',
];

export const protectedData: ResourceRule = {
  name: 'protected-data',
  rule: 'In production and in the organisation, what holds data is protected: a destroy or a replacement fails before it begins.',
  *check(resource) {
    if (!DATA.includes(resource.type) || !isProduction(resource)) return;
    // A bucket that may be destroyed with what is inside says so: it holds logs that S3 deletes by itself.
    const isLog = resource.type === 'aws:s3/bucket:Bucket' && resource.props.forceDestroy === true;
    if (!resource.opts.protect && !isLog) {
      yield {
        field: 'protect',
        value: false,
        wayOut: 'set the option protect; pulumi state unprotect is the way back',
      };
    }
    if (resource.type === 'aws:organizations/account:Account' && resource.props.closeOnDeletion === true) {
      yield { field: 'closeOnDeletion', value: true, wayOut: 'set it to false; closing an account is for a person' };
    }
  },
};

/** Read from the name of the stack, which the configuration holds to environment and site. */
function isProduction(resource: PlannedResource): boolean {
  return /^(org|prod)(-|$)/.test(stackOf(resource));
}
