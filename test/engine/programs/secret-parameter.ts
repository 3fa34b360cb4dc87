import * as aws from '@pulumi/aws';
import * as pulumi from '@pulumi/pulumi';

const provider = new aws.Provider('given', { region: 'eu-west-2' });
const token = new pulumi.Config().requireSecret('token');
const parameter = new aws.ssm.Parameter('token', { type: 'SecureString', value: token }, { provider });
new aws.cloudwatch.LogGroup('log', { tags: { derived: pulumi.interpolate`token=${token}` } }, { provider });

export const value = parameter.value;
