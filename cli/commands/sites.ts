import { Command } from 'commander';
import { writeFileDurably } from '../../base/durable-file';
import { asOperator, type OperatorOptions, withOperator } from '../operator';
import { openTerminal, table } from '../terminal';
import { wholeNumber } from '../whole-number';

interface Common extends OperatorOptions {
  readonly json?: boolean;
}

export function sitesCommand(): Command {
  const command = new Command('sites').description('The sites of the federation, as an operator sees them.');
  withOperator(command.command('invite <site>'))
    .description('Makes a one-time invitation; hand it to the hospital by a way that both of you trust.')
    .option('--valid <minutes>', 'how long the invitation may be used', '1440')
    .option('-o, --out <file>', 'write the invitation to a file that only you can read')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed sites invite st-marys --operator ./coordinator/operator -o st-marys.invitation',
    )
    .action(invite);
  withOperator(command.command('list'))
    .description('Lists the sites with their state.')
    .option('--json', 'one JSON object a site')
    .addHelpText('after', '\nExample:\n  clara-fed sites list --operator ./coordinator/operator')
    .action(list);
  withOperator(command.command('revoke <site>'))
    .description("Ends a site's certificates and its connections.")
    .option('--reason <text>', 'why, for the record', 'revoked by an operator')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      "\nExample:\n  clara-fed sites revoke st-marys --reason 'left the consortium' --operator ./coordinator/operator",
    )
    .action(revoke);
  return command;
}

async function invite(
  site: string,
  options: Common & { readonly valid: string; readonly out?: string },
): Promise<void> {
  const terminal = openTerminal(options);
  const validMinutes = wholeNumber('--valid', options.valid, 1, 30 * 24 * 60);
  const reply = await asOperator(options, (client) => client.inviteSite({ site, validMinutes }));
  const { invitation, expiresAt } = reply;
  if (options.out) await writeFileDurably(options.out, `${invitation}\n`, { mode: 0o600 });
  terminal.record({ event: 'invited', site, invitation, expiresAt, ...(options.out ? { file: options.out } : {}) });
  terminal.line(
    options.out ? `invitation for ${site} in ${options.out}, to be used once before ${expiresAt}` : invitation,
  );
}

async function list(options: Common): Promise<void> {
  const terminal = openTerminal(options);
  const { sites } = await asOperator(options, (client) => client.listSites({}));
  for (const { $typeName: _, ...site } of sites) terminal.record({ event: 'site', ...site });
  const rows = sites.map((s) => [
    s.site,
    s.state,
    s.connected ? 'connected' : '-',
    s.certificateEnds || '-',
    s.software || '-',
  ]);
  terminal.line(table([['site', 'state', 'connection', 'certificate until', 'software'], ...rows]));
}

async function revoke(site: string, options: Common & { readonly reason: string }): Promise<void> {
  const terminal = openTerminal(options);
  const view = await asOperator(options, (client) => client.revokeSite({ site, reason: options.reason }));
  terminal.record({ event: 'revoked', site: view.site, state: view.state });
  terminal.line(`${view.site} is ${view.state}`);
}
