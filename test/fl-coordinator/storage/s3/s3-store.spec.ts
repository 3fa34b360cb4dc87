import { randomUUID } from 'node:crypto';
import type { S3Address } from '../../../../fl-coordinator/storage/store-address';
import { objectStoreContract } from '../../../contract/object-store.contract';
import { S3Server } from '../../../support/s3-server';

for (const name of ['versitygw', 'ministack'] as const) {
  describe(`S3 store on ${name}`, () => {
    let server: S3Server | undefined;
    let bucket: S3Address;

    before(async function () {
      server = await S3Server.start(this, name);
      bucket = await server.bucket('contract');
    });
    after(() => server?.stop());

    objectStoreContract({
      create: async () => ({ ...bucket, prefix: `clara/${randomUUID()}` }),
      remove: async () => {},
      openUploads: 'are-taken-over',
      replacedObjects: 'end-their-readers',
    });
  });
}
