import path from 'node:path';
import { publishModel } from '../../aiaa/registry/publish-model';
import { writeFileDurably } from '../../base/durable-file';
import { ClaraError } from '../../base/errors';
import { showBytes } from '../../base/show-bytes';
import type { RunView } from '../../federation/gen/federation/v1/federation_pb';
import { received } from '../../federation/stream-flow';
import { fetchModel } from '../fetch-model';
import { LiveArea } from '../live-area';
import { asOperator } from '../operator';
import type { ReportData } from '../report/report-data';
import { reportPage } from '../report/report-page';
import { changeLines, runTable } from '../run-table';
import { aborted } from '../stopping';
import { counted, type Terminal, table } from '../terminal';
import { prepareDemoData } from './demo-data';
import { type DemoSettings, keepDemoSettings, lockDemoWorkspace, openDemoWorkspace } from './demo-options';
import { demoPlan, MODEL_DESCRIPTION, MODEL_NAME } from './demo-plan';
import { demoReport } from './demo-report';
import { type CoordinatorPlace, DemoServices } from './demo-services';
import { ownCommand } from './own-command';
import { segmentScan } from './segment-scan';

export interface DemoRequest {
  readonly workspace: string;
  readonly settings: Omit<DemoSettings, 'submitToken'>;
  /** Leaves the services up until the signal. */
  readonly keep: boolean;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * The whole story on one machine: enrol, train, publish, annotate, report. Ends every process that it started.
 * @throws ClaraError `already-exists` when the workspace belongs to other settings, `precondition-failed` when a demonstration
 *   runs there
 */
export async function runDemo(request: DemoRequest): Promise<void> {
  const workspace = path.resolve(request.workspace);
  const release = await lockDemoWorkspace(workspace);
  try {
    await runInWorkspace({ ...request, workspace });
  } finally {
    await release();
  }
}

async function runInWorkspace(request: DemoRequest): Promise<void> {
  const started = performance.now();
  const { workspace, terminal, signal } = request;
  const { settings, resumed } = await openDemoWorkspace(workspace, request.settings);
  const hospitals =
    settings.sites.length === 1 ? '1 hospital trains a' : `${settings.sites.length} hospitals train one`;
  terminal.line(`${hospitals} spleen model; everything is kept in ${workspace}`);
  if (resumed)
    terminal.line('going on with what is there; remove the folder, or choose another --workspace, to start afresh');
  if (!settings.dataset)
    terminal.line(
      'synthetic phantoms: the figures show that the federation works and say nothing about clinical quality',
    );
  const services = new DemoServices(workspace, signal);
  try {
    await Promise.race([services.failed, endOf(signal), tellStory(request, settings, services, started)]);
    if (request.keep) {
      terminal.line('the services stay up; Ctrl-C ends them');
      await Promise.race([services.failed, aborted(signal)]);
    }
  } finally {
    await services.stop();
  }
}

async function tellStory(
  request: DemoRequest,
  settings: DemoSettings,
  services: DemoServices,
  started: number,
): Promise<void> {
  const { workspace, terminal, signal } = request;
  const [data, coordinator] = await Promise.all([
    prepareDemoData(workspace, settings, signal),
    services.startCoordinator(),
  ]);
  await keepDemoSettings(workspace, settings);
  await Promise.all(data.sites.map(({ site, folder }) => services.startSite(site, folder, coordinator)));
  terminal.record({
    event: 'sites-ready',
    sites: data.sites.map(({ site, training, heldOut }) => ({ site, training, heldOut })),
  });
  terminal.line(
    `${data.sites.map(({ site, training }) => `${site} (${counted(training, 'case')})`).join(', ')} enrolled with mutual TLS`,
  );

  const view = await train(coordinator, settings, request);
  const modelFile = path.join(workspace, 'model.safetensors');
  const run = view.summary!.run;
  const model = await asOperator(coordinator, (client) => fetchModel(client, { run, file: modelFile }));
  const aiaaWorkspace = path.join(workspace, 'aiaa');
  const version = `${run}.round-${view.summary!.rounds}`;
  await publishModel(aiaaWorkspace, {
    file: modelFile,
    name: MODEL_NAME,
    version,
    labels: ['spleen'],
    description: MODEL_DESCRIPTION,
    sha256: model.digest,
  });
  const annotationUrl = await services.startAnnotation(aiaaWorkspace);
  const maskFile = path.join(workspace, 'mask.nii.gz');
  const scanSeconds = await segmentScan(annotationUrl, MODEL_NAME, data.scan.image, maskFile, signal);

  const serving = {
    serveCommand: ownCommand('aiaa', 'start', '--workspace', aiaaWorkspace, '--port', String(SLICER_PORT)),
    slicerUrl: `http://127.0.0.1:${SLICER_PORT}/`,
    ...(request.keep ? { slicerUrlNow: annotationUrl } : {}),
  };
  const outcome = { view, data, settings, modelBytes: model.bytes, maskFile, scanSeconds, serving };
  const seconds = (performance.now() - started) / 1000;
  const report = await demoReport({ ...outcome, seconds });
  const reportFile = path.join(workspace, 'report.html');
  await writeFileDurably(reportFile, reportPage(report));
  conclude(terminal, report, { reportFile, maskFile, aiaaWorkspace, modelFile });
}

async function train(
  coordinator: CoordinatorPlace,
  settings: DemoSettings,
  { terminal, signal }: DemoRequest,
): Promise<RunView> {
  const area = terminal.live ? new LiveArea(process.stdout) : undefined;
  return asOperator(coordinator, async (client) => {
    const { run } = await client.submitRun({
      plan: JSON.stringify(demoPlan(settings)),
      submitToken: settings.submitToken,
    });
    terminal.record({ event: 'submitted', run });
    let last: RunView | undefined;
    for await (const view of received(client.watchRun({ run }, { signal }))) {
      for (const line of changeLines(last, view)) {
        terminal.record({ event: 'progress', text: line });
        if (area) area.print(line);
        else terminal.line(line);
      }
      area?.draw(runTable(view));
      last = view;
    }
    if (last?.summary?.state === 'completed') return last;
    throw new ClaraError('precondition-failed', `run ${run} is ${last?.summary?.state}: ${last?.summary?.reason}`);
  });
}

/** The port that 3D Slicer's plug-in and the documentation of AIAA use. */
const SLICER_PORT = 5000;

interface DemoFiles {
  readonly reportFile: string;
  readonly maskFile: string;
  readonly aiaaWorkspace: string;
  readonly modelFile: string;
}

function conclude(terminal: Terminal, report: ReportData, files: DemoFiles): void {
  const sites = report.sites.map(({ site }) => site);
  const show = (value: number | undefined) => value?.toFixed(3) ?? '-';
  terminal.line();
  terminal.line('Dice of the global model on held-out cases');
  const rounds = report.rounds.map((r) => [
    String(r.round),
    ...r.dice.map(show),
    show(r.meanDice),
    `${r.seconds.toFixed(1)} s`,
    `${showBytes(r.bytesToSites)} down, ${showBytes(r.bytesFromSites)} up`,
  ]);
  terminal.line(table([['round', ...sites, 'mean', 'time', 'weights moved'], ...rounds]));
  terminal.line();
  terminal.line("What federation bought: model (row) on each hospital's held-out cases (column)");
  terminal.line(table([['model', ...sites], ...report.matrix.map(({ model, dice }) => [model, ...dice.map(show)])]));
  terminal.line();
  terminal.line(
    `${report.scan.name}, segmented through the annotation API: Dice ${show(report.scan.dice)} in ${report.scan.seconds.toFixed(1)} s`,
  );
  terminal.line(
    `peak memory a site: ${report.peakRssBytes.map(({ process: site, bytes }) => `${site} ${showBytes(bytes)}`).join(', ')}`,
  );
  terminal.line(`model   ${report.modelDigest}`);
  terminal.line(`report  ${files.reportFile}`);
  terminal.line(`mask    ${files.maskFile}`);
  if (report.slicerUrlNow) terminal.line(`Slicer  ${report.slicerUrlNow} as long as the services are up`);
  terminal.line(`serve   ${report.serveCommand}`);
  terminal.line(`Slicer  ${report.slicerUrl} while that runs`);
  terminal.line(`done in ${report.seconds.toFixed(0)} s`);
  const last = report.rounds.at(-1);
  terminal.record({
    event: 'done',
    dice: { mean: last?.meanDice, sites: Object.fromEntries(sites.map((site, i) => [site, last?.dice[i]])) },
    seconds: Number(report.seconds.toFixed(1)),
    modelDigest: report.modelDigest,
    report: files.reportFile,
    mask: files.maskFile,
    aiaaWorkspace: files.aiaaWorkspace,
    model: files.modelFile,
    ...(report.slicerUrlNow ? { slicerUrl: report.slicerUrlNow } : {}),
    synthetic: report.synthetic,
    rounds: report.rounds.map(({ round, meanDice, seconds }) => ({ round, meanDice, seconds })),
    matrix: report.matrix,
    scan: { dice: report.scan.dice, seconds: report.scan.seconds },
    peakRssMiB: Object.fromEntries(
      report.peakRssBytes.map(({ process: site, bytes }) => [site, Math.round(bytes / 2 ** 20)]),
    ),
  });
}

/** Rejects when the signal aborts. */
async function endOf(signal: AbortSignal): Promise<never> {
  await aborted(signal);
  throw signal.reason;
}
