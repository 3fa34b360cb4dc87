import * as pulumi from '@pulumi/pulumi';

/** What cannot be made again, and the keys without which the rest cannot be read. */
const DATA: readonly string[] = [
  'aws:efs/fileSystem:FileSystem',
  'aws:kms/key:Key',
  'aws:organizations/account:Account',
  'aws:s3/bucket:Bucket',
];

/**
 * Protects everything in the stack that holds data, whatever component makes it: a destroy or a replacement then fails before it
 * begins, and `pulumi state unprotect` is the deliberate way back. Only the stores themselves, because protection that a component
 * hands down to every rule and record would block ordinary changes. A bucket that may be destroyed with its content holds logs.
 */
export function protectData(): void {
  pulumi.runtime.registerStackTransformation(({ type, props, opts }) => {
    if (!DATA.includes(type) || props.forceDestroy === true) return undefined;
    return { props, opts: { ...opts, protect: true } };
  });
}
