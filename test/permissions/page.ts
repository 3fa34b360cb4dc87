import type { Circumstance } from './circumstances';
import type { Identity } from './identities';
import { LAYERS, type Verdict } from './request';
import { SECTIONS, type Section } from './table';

/** The page docs/permissions.md as text: verdicts in, lines out. */

/** What one row came out as, in the order of the identities. */
export interface JudgedRow {
  readonly section: Section;
  readonly what: string;
  readonly verdicts: ReadonlyMap<string, Verdict>;
}

const INTRODUCTION = `# Permissions

Who may do what in AWS, as AWS would decide it: each cell is a call that was simulated with every document that has a say, as the
stacks render it for a hospital (\`prod-charite\`), another one (\`prod-leeds\`) and the platform (\`prod\`), below the policies of the
organisation (\`org\`). The table that is expected is written by hand, in [test/permissions/table.ts](../test/permissions/table.ts), and
\`npm test\` fails where the two differ. This page is written by \`WRITE_PERMISSIONS=1 npx mocha test/permissions/permissions.spec.ts\`.

**may** is a call that goes through. Else the cell says what stands in the way, each of which would be enough:

| word | what refuses |
| --- | --- |
| ${LAYERS.identity} | the caller's own rights do not have it |
| ${LAYERS.resource} | the policy of the bucket, key, file system, repository or role refuses, or lets nobody of another account in |
| ${LAYERS.pb} | the boundary of deployments, which never see data, and that of the roles that they make, which do what tasks do |
| ${LAYERS.scp} | a service control policy of the organisation, which binds the caller's account, administrators included |
| ${LAYERS.rcp} | a resource control policy of the organisation, which guards the account of what is called, whatever its own policies say |
| ${LAYERS.vpce} | the policy of the VPC endpoint that the call goes through |

Administrators are given every right, and so are the pipeline of the platform and the organisation's role: what stops them is not their
own policy. A start is what ECS does before a container runs. The simulator is \`@cloud-copilot/iam-simulate\`
([0083](decisions/0083-effective-permissions.md)); AWS itself was not asked. What no policy decides is not here: Object Lock, which keeps
audit records from everybody until their time is over; what runs in a container, which is whatever the deployed image does; and who may change the
policies of the organisation, which are those who administer its management account.
`;

export function permissionsPage(
  rows: readonly JudgedRow[],
  { inside, outside }: { readonly inside: readonly Identity[]; readonly outside: readonly Identity[] },
  circumstances: readonly Circumstance[],
  between: string,
): string {
  const sections = SECTIONS.flatMap((section) => {
    const own = rows.filter((row) => row.section === section);
    return [`## ${section}\n`, table(own, inside), table(own, outside)];
  });
  return [INTRODUCTION, ...sections, `## Between hospitals\n\n${between}\n`, circumstancesTable(circumstances)].join(
    '\n',
  );
}

function table(rows: readonly JudgedRow[], identities: readonly Identity[]): string {
  const lines = rows.map(({ what, verdicts }) => [what, ...identities.map(({ key }) => cell(verdicts.get(key)!))]);
  return `${markdown(['', ...identities.map(({ title }) => title)], lines)}\n`;
}

function cell({ allowed, by }: Verdict): string {
  return allowed ? '**may**' : words(by);
}

function words(by: Verdict['by']): string {
  return by.map((layer) => LAYERS[layer]).join(', ');
}

function circumstancesTable(circumstances: readonly Circumstance[]): string {
  const lines = circumstances.map(({ what, changed, by }) => [what, changed, words(by)]);
  return `## Under which circumstances

What goes through, and the same call with one circumstance changed, which does not.

${markdown(['goes through', 'but not', 'refused by'], lines)}
`;
}

function markdown(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...lines.map(line)].join('\n');
}
