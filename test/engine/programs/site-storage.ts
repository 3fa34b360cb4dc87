import * as aws from '@pulumi/aws';
import { DatasetBucket } from '../../../components/dataset-bucket';
import { WorkspaceFileSystem } from '../../../components/workspace-file-system';

/** What holds a site's data: small enough to fail at each of its resources, and with an order that matters. */
const provider = new aws.Provider('given', { region: 'eu-west-2' });
new DatasetBucket('small-datasets', {}, { provider });
new WorkspaceFileSystem(
  'small-workspace',
  {
    vpcId: 'vpc-0a1b2c3d4e5f60718',
    subnets: { 'euw2-az1': 'subnet-0a1b2c3d4e5f60711', 'euw2-az2': 'subnet-0a1b2c3d4e5f60722' },
    retainOnDelete: false,
  },
  { provider },
);
