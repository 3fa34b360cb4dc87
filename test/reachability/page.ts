import type { Openings } from './reach';

/** Openings as text: for a terminal, and for the page docs/reachability.md. */

export function openingsText(openings: Openings): string {
  const lines = sorted(openings).flatMap(([from, to]) => [
    from,
    ...sorted(to).map(([name, ports]) => `  -> ${name}  ${ports.join(', ')}`),
  ]);
  return `${lines.join('\n')}\n`;
}

const INTRODUCTION = `# Reachability

Who can open a connection to whom, computed from what each stack registers: security groups on both ends, routes, gateways, endpoints,
listeners. **Whatever is not listed is closed**, among all places of a stack and those outside it, on the ports PORTS. What must be open
is written by hand in [test/reachability/expected.ts](../test/reachability/expected.ts), and \`npm test\` fails where the two differ;
\`npm run plan -- prod-leeds --reach\` says it of any stack, your own too. This page is written by
\`WRITE_REACHABILITY=1 npx mocha test/reachability/reachability.spec.ts\`.

No stack joins its network to another one: there is no peering, no transit gateway and no route between sites, so a hospital reaches another
one only as anybody on the internet does. Clients that a hospital lists come over a line of its own (Direct Connect, VPN), which the stack does
not make, where the load balancer is internal. A hospital that keeps its own network (\`prod-st-marys\`) keeps its routes and network ACLs; there the security
groups decide alone. A machine of the network that is not of the platform is "other machine in the network". Not modelled: DNS, UDP, IPv6, and what
AWS does inside its services, by which an administrator's session comes to a task that has called Session Manager itself.
`;

export interface Answer {
  readonly stack: string;
  readonly port: number;
  readonly path: string;
  readonly source: string;
  readonly answer: string;
}

export function reachabilityPage(
  stacks: Readonly<Record<string, Openings>>,
  answers: readonly Answer[],
  ports: readonly number[],
): string {
  const tables = Object.entries(stacks).map(([stack, openings]) => {
    const lines = sorted(openings).flatMap(([from, to]) =>
      sorted(to).map(([name, open]) => `| ${from} | ${name} | ${open.join(', ')} |`),
    );
    return `## ${stack}\n\n| from | to | ports |\n| --- | --- | --- |\n${lines.join('\n')}\n`;
  });
  const lines = answers.map(
    ({ stack, port, path, source, answer }) => `| ${stack} | ${port} | \`${path}\` | ${source} | ${answer} |`,
  );
  return [
    INTRODUCTION.replace('PORTS', ports.join(', ')),
    ...tables,
    `## What the load balancers of annotation servers answer\n\n| stack | port | path | from | answer |\n| --- | --- | --- | --- | --- |\n${lines.join('\n')}\n`,
  ].join('\n');
}

function sorted<Value>(record: Readonly<Record<string, Value>>): [string, Value][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
