import path from 'node:path';
import type { RunView } from '../../federation/gen/federation/v1/federation_pb';
import { spacingOf } from '../../imaging/geometry';
import { dice } from '../../imaging/metrics';
import { readNifti } from '../../imaging/nifti';
import { pngDataUrl } from '../../imaging/png';
import { chooseSlices, renderSlice, truthAndPrediction } from '../../imaging/slice-image';
import type { Mask, Volume } from '../../imaging/volume';
import { meanOf, type ReportData, type ReportScan } from '../report/report-data';
import { counted } from '../terminal';
import type { DemoData } from './demo-data';
import type { DemoSettings } from './demo-options';

export interface DemoOutcome {
  readonly view: RunView;
  readonly data: DemoData;
  readonly settings: DemoSettings;
  readonly seconds: number;
  readonly modelBytes: number;
  readonly maskFile: string;
  readonly scanSeconds: number;
  readonly serving: Pick<ReportData, 'serveCommand' | 'slicerUrl' | 'slicerUrlNow'>;
}

/** Everything that the report shows, out of the finished run and the segmented scan. */
export async function demoReport(outcome: DemoOutcome): Promise<ReportData> {
  const { view, data, settings } = outcome;
  const sites = settings.sites;
  return {
    title: `${counted(sites.length, 'hospital')}, one spleen model`,
    synthetic: data.synthetic,
    strategy: 'FedAvg',
    seed: settings.seed,
    sites: data.sites.map(({ site, training, heldOut }) => ({ site, trainingCases: training, heldOutCases: heldOut })),
    rounds: view.rounds.map((round) => {
      const dice = sites.map((site) => round.evaluations.find((evaluation) => evaluation.site === site)?.metrics.dice);
      return {
        round: round.round,
        dice,
        meanDice: meanOf(dice),
        loss: round.metrics.loss,
        seconds: round.seconds,
        bytesToSites: Number(round.bytesToSites),
        bytesFromSites: Number(round.bytesFromSites),
      };
    }),
    matrix: matrixRows(view, sites),
    scan: await scanReport(outcome),
    seconds: outcome.seconds,
    modelDigest: view.summary?.modelDigest ?? '',
    modelBytes: outcome.modelBytes,
    peakRssBytes: view.sites.map(({ site, peakRssBytes }) => ({ process: site, bytes: Number(peakRssBytes) })),
    ...outcome.serving,
    maskFile: path.resolve(outcome.maskFile),
  };
}

/** Each site's own model, trained alone, then the global one. */
function matrixRows(view: RunView, sites: readonly string[]): ReportData['matrix'] {
  const row = (label: string, model: string) => ({
    model: label,
    dice: sites.map((site) => view.matrix.find((cell) => cell.site === site && cell.model === model)?.metrics.dice),
  });
  return [...sites.map((site) => row(`${site} alone`, `site:${site}`)), row('federated', 'global')];
}

async function scanReport({ data, maskFile, scanSeconds }: DemoOutcome): Promise<ReportScan> {
  const image = await readNifti(data.scan.image);
  const truth = asMask(await readNifti(data.scan.label));
  const prediction = asMask(await readNifti(maskFile));
  const at = chooseSlices(truth);
  const overlays = truthAndPrediction(truth, prediction);
  const pixelMm = pixelSizeFor(image);
  const slices = (['axial', 'coronal', 'sagittal'] as const).map((plane) => {
    const picture = renderSlice(image, { plane, index: at[plane], overlays, pixelMm });
    return { plane, url: pngDataUrl(picture), width: picture.width, height: picture.height };
  });
  return { name: data.scan.name, dice: dice(truth.data, prediction.data), seconds: scanSeconds, slices };
}

const PICTURE_PIXELS = 320;

/** One pixel size for all planes, so that the pictures share a scale; the widest axis fills the picture. */
function pixelSizeFor({ geometry }: Volume): number {
  const spacing = spacingOf(geometry);
  return Math.max(...geometry.shape.map((voxels, axis) => voxels * spacing[axis]!)) / PICTURE_PIXELS;
}

/** Label 1 is the spleen, whatever else is labelled. */
function asMask({ geometry, data }: Volume): Mask {
  return { geometry, data: Uint8Array.from(data, (value) => (value === 1 ? 1 : 0)) };
}
