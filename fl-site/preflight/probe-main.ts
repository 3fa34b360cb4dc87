import { lookup } from 'node:dns/promises';
import { splitAddress } from '../../federation/address';
import { datasetProbe } from './dataset-probe';
import type { ProbeOrder } from './probe';
import { failedBy, ok, type Verdict } from './verdict';
import { diskProbe, workspaceProbe } from './workspace-probe';

/** The program behind `probe.ts`: one check, one verdict on standard output. */

async function nameProbe(coordinator: string): Promise<Verdict> {
  const { host } = splitAddress(coordinator);
  try {
    const found = await lookup(host, { all: true });
    return ok(`${host} is ${found.map(({ address }) => address).join(', ')}`);
  } catch (thrown) {
    return failedBy(
      thrown,
      'check the spelling of coordinator in the configuration, and the name servers of this machine',
    );
  }
}

function run(order: ProbeOrder): Promise<Verdict> {
  switch (order.probe) {
    case 'name':
      return nameProbe(order.coordinator);
    case 'workspace':
      return workspaceProbe(order.workspace);
    case 'disk':
      return diskProbe(order.workspace, order.limits);
    case 'dataset':
      return datasetProbe(order.dataset);
  }
}

void run(JSON.parse(process.argv[2] ?? '{}') as ProbeOrder).then((verdict) => {
  process.stdout.write(JSON.stringify(verdict));
});
