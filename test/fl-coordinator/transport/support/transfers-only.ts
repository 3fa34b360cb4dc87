import type { Federation } from '../../../../federation/gen/federation/v1/federation_pb';
import type { ServiceHandlers } from '../../../../federation/service-handlers';

type Handlers = ServiceHandlers<typeof Federation, void>;

const refuse = async (): Promise<never> => {
  throw new Error('not in this test');
};

/** A federation that moves bytes and nothing else; `uploadStatus` answers, for a call that is short. */
export function transfersOnly(transfers: Partial<Pick<Handlers, 'download' | 'upload'>>): Handlers {
  return {
    connect: refuse,
    uploadStatus: async () => ({}),
    renew: refuse,
    probe: refuse,
    // biome-ignore lint/correctness/useYield: refuses
    download: async function* () {
      await refuse();
    },
    upload: refuse,
    ...transfers,
  };
}
