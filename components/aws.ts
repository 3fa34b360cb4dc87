/**
 * What this project uses of `@pulumi/aws`, service by service. The package's own entry loads some 250 services, which takes longer
 * than the rest of a program.
 */
export * as appautoscaling from '@pulumi/aws/appautoscaling';
export * as autoscaling from '@pulumi/aws/autoscaling';
export * as budgets from '@pulumi/aws/budgets';
export * as cloudtrail from '@pulumi/aws/cloudtrail';
export * as cloudwatch from '@pulumi/aws/cloudwatch';
export * as ec2 from '@pulumi/aws/ec2';
export * as ecr from '@pulumi/aws/ecr';
export * as ecs from '@pulumi/aws/ecs';
export * as efs from '@pulumi/aws/efs';
export { getAvailabilityZones } from '@pulumi/aws/getAvailabilityZones';
export { getCallerIdentityOutput } from '@pulumi/aws/getCallerIdentity';
export { getPartitionOutput } from '@pulumi/aws/getPartition';
export { getRegionOutput } from '@pulumi/aws/getRegion';
export * as iam from '@pulumi/aws/iam';
export * as kms from '@pulumi/aws/kms';
export * as lb from '@pulumi/aws/lb';
export * as organizations from '@pulumi/aws/organizations';
export { Provider } from '@pulumi/aws/provider';
export * as route53 from '@pulumi/aws/route53';
export * as s3 from '@pulumi/aws/s3';
export * as secretsmanager from '@pulumi/aws/secretsmanager';
export * as sns from '@pulumi/aws/sns';
export type * as types from '@pulumi/aws/types';
export type { Region } from '@pulumi/aws/types/enums';
export * as vpc from '@pulumi/aws/vpc';
