import path from 'node:path';
import { Command } from 'commander';
import { ClaraError } from '../../base/errors';
import { EXIT } from '../../base/exit-codes';
import { namedSites } from '../../federation/cohort';
import { enrol } from '../../federation/enrol';
import { formatIdentity } from '../../federation/identity';
import { parseInvitation } from '../../federation/invitation';
import { showVersion } from '../../federation/model-name';
import { loadSiteConfiguration } from '../../fl-site/configuration';
import { type PreflightCheck, type PreflightLimits, preflight } from '../../fl-site/preflight/preflight';
import { PromotionRequests } from '../../fl-site/promotions/promotion-requests';
import { Proposals } from '../../fl-site/proposals';
import { Workspace } from '../../fl-site/workspace';
import { isInstalled } from '../installed';
import { type InvitationOptions, invitationSource, withInvitationOptions } from '../invitation-option';
import { parseModelVersion } from '../model-address';
import { preflightTable } from '../preflight-table';
import { referenceTrainer } from '../reference-trainer';
import { stopSignal } from '../stopping';
import { counted, openTerminal, table } from '../terminal';
import { wholeNumber } from '../whole-number';
import { prepareCommand } from './site-prepare';
import { startCommand } from './site-start';

interface SiteOptions {
  readonly config: string;
  readonly json?: boolean;
}

const MAX_REASON = 2000;

interface EnrolOptions extends InvitationOptions {
  readonly credentials: string;
  readonly json?: boolean;
}

export function siteCommand(): Command {
  const command = new Command('site').description(
    "A hospital's agent: it dials the coordinator and trains when asked.",
  );
  const enrolment = command
    .command('enrol')
    .description(
      "Makes the site's key and trades a one-time invitation for a certificate; the key never leaves this machine.",
    );
  withInvitationOptions(enrolment, '<text|@file>', 'the invitation line, or @ and a file that holds it')
    .requiredOption('--credentials <dir>', 'where key and certificates go')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  clara-fed site enrol --invitation @st-marys.invitation --credentials ./credentials',
    )
    .action(enrolSite);
  // What a platform engineer does before a site is there; the site's own image is without it.
  if (isInstalled('site-deployment')) {
    (require('./site-deployment') as typeof import('./site-deployment')).addDeploymentVerbs(command);
  }
  command.addCommand(startCommand());
  command
    .command('preflight')
    .description('Looks at all that a site needs before its first run, and says what to do about what is not right.')
    .requiredOption('--config <file>', 'site configuration (YAML); see docs/site-configuration.md')
    .option('--timeout <seconds>', 'the longest that one check may take (default: 15; dataset 60, trainer 120)')
    .option('--json', 'one JSON object a check')
    .addHelpText('after', '\nExample:\n  clara-fed site preflight --config site.yaml')
    .action(lookAhead);
  command.addCommand(prepareCommand());
  command
    .command('proposals')
    .description(
      'Lists the plans and models that were laid before this site, with what was answered (policy.approve, policy.promotions: person).',
    )
    .requiredOption('--config <file>', 'site configuration (YAML)')
    .option('--json', 'one JSON object a proposal')
    .addHelpText('after', '\nExample:\n  clara-fed site proposals --config site.yaml')
    .action(listProposals);
  command
    .command('approve <run>')
    .description(
      'Lets a run use this site, within the limits of its configuration, or has a promoted NAME:VERSION served. The running agent tells the coordinator.',
    )
    .requiredOption('--config <file>', 'site configuration (YAML)')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  clara-fed site approve spleen-1a2b3c4d --config site.yaml')
    .action((run: string, options: SiteOptions) => decide(run, true, '', options));
  command
    .command('refuse <run>')
    .description(
      'Keeps a run from using this site, or a promoted NAME:VERSION from being served. The investigator is told the reason.',
    )
    .requiredOption('--config <file>', 'site configuration (YAML)')
    .requiredOption('--reason <text>', 'why, for the investigator and the record')
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      "\nExample:\n  clara-fed site refuse spleen-1a2b3c4d --reason 'not covered by our consent' --config site.yaml",
    )
    .action((run: string, options: SiteOptions & { readonly reason: string }) =>
      decide(run, false, options.reason, options),
    );
  return command;
}

async function enrolSite(options: EnrolOptions): Promise<void> {
  const terminal = openTerminal(options);
  const source = invitationSource(options);
  if (!source) {
    throw new ClaraError('invalid-input', 'the invitation is missing; give --invitation or --invitation-secret');
  }
  const signal = stopSignal();
  const invitation = parseInvitation(await source.read(signal));
  const { identity, coordinator } = await enrol(invitation, { folder: options.credentials, signal });
  terminal.record({
    event: 'enrolled',
    identity: formatIdentity(identity),
    coordinator,
    credentials: options.credentials,
  });
  terminal.line(`enrolled as ${formatIdentity(identity)}; credentials are in ${options.credentials}`);
}

async function workspaceOf({ config }: SiteOptions): Promise<Workspace> {
  return new Workspace((await loadSiteConfiguration(path.resolve(config))).workspace);
}

function answerOf(decision: { readonly approved: boolean } | undefined): 'approved' | 'refused' | 'waiting' {
  return decision ? (decision.approved ? 'approved' : 'refused') : 'waiting';
}

async function listProposals(options: SiteOptions): Promise<void> {
  const terminal = openTerminal(options);
  const workspace = await workspaceOf(options);
  const all = await new Proposals(workspace).list();
  const rows = all.map(({ run, plan, at, decision }) => {
    const state = answerOf(decision);
    terminal.record({ event: 'proposal', run, state, at, reason: decision?.reason ?? '', plan });
    const cohort = namedSites(plan.cohort)?.join(' ') ?? 'all';
    return [run, state, plan.trainer.name, String(plan.rounds), cohort, at];
  });
  terminal.line(table([['run', 'state', 'trainer', 'rounds', 'sites', 'proposed'], ...rows]));
  const models = await new PromotionRequests(workspace).list();
  if (models.length === 0) return;
  const offered = models.map(({ model, version, description, sha256, at, decision }) => {
    const [state, reason] = [answerOf(decision), decision?.reason ?? ''];
    terminal.record({ event: 'promotion-proposal', model, version, state, at, reason, description, sha256 });
    return [showVersion({ model, version }), state, description, at];
  });
  terminal.line(`\n${table([['model', 'state', 'description', 'proposed'], ...offered])}`);
}

async function decide(run: string, approved: boolean, reason: string, options: SiteOptions): Promise<void> {
  if (reason.length > MAX_REASON) {
    throw new ClaraError('invalid-input', `the reason has ${reason.length} characters; at most ${MAX_REASON} are kept`);
  }
  const terminal = openTerminal(options);
  const workspace = await workspaceOf(options);
  const state = approved ? 'approved' : 'refused';
  if (run.includes(':')) {
    const wanted = parseModelVersion(run);
    await new PromotionRequests(workspace).decide(wanted, approved, reason);
    terminal.record({ event: 'promotion-decided', ...wanted, approved, reason });
    return terminal.line(`${run} is ${state}; the agent tells the coordinator`);
  }
  await new Proposals(workspace).decide(run, approved, reason);
  terminal.record({ event: 'proposal-decided', run, approved, reason });
  terminal.line(`run ${run} is ${state}; the agent tells the coordinator`);
}

async function lookAhead(options: Pick<SiteOptions, 'config' | 'json'> & { readonly timeout?: string }): Promise<void> {
  const terminal = openTerminal(options);
  const configuration = await loadSiteConfiguration(path.resolve(options.config));
  const checks = await preflight(configuration, {
    referenceTrainer: referenceTrainer(),
    ...(options.timeout === undefined ? {} : { limits: allLimits(options.timeout) }),
    onCheck: (check) => terminal.record({ event: 'check', ...check }),
  });
  const count = (outcome: PreflightCheck['outcome']) => checks.filter((check) => check.outcome === outcome).length;
  const [failures, warnings] = [count('failed'), count('warning')];
  terminal.record({ event: 'preflight', site: configuration.id, passed: failures === 0, failed: failures, warnings });
  for (const line of preflightTable(checks)) terminal.line(line);
  terminal.line(
    `${configuration.id}: ${failures === 0 ? 'ready' : `not ready, ${counted(failures, 'check')} failed`}${warnings > 0 ? `, ${counted(warnings, 'warning')}` : ''}`,
  );
  if (failures > 0) process.exitCode = EXIT.badData;
}

function allLimits(seconds: string): PreflightLimits {
  const millis = wholeNumber('--timeout', seconds, 1, 3600) * 1000;
  return { checkMillis: millis, datasetMillis: millis, trainerMillis: millis };
}
