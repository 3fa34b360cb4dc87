import { createHash } from 'node:crypto';
import path from 'node:path';
import { deriveSeed } from '../../base/random';
import {
  type DecathlonDataset,
  divideCases,
  imagePath,
  labelPath,
  openDecathlon,
  writeSiteDataset,
} from '../../imaging/decathlon';
import { writeNifti } from '../../imaging/nifti';
import { makePhantom, PHANTOM_SITE_STYLES, type PhantomOptions } from '../../imaging/phantom';
import { writePhantomDataset } from '../../imaging/phantom-dataset';
import type { DemoSettings } from './demo-options';
import { DEMO_PHANTOM } from './demo-plan';

/** The images of a demonstration: one Decathlon folder a site, and a scan that is segmented at the end. */
export interface DemoData {
  readonly synthetic: boolean;
  readonly sites: readonly {
    readonly site: string;
    readonly folder: string;
    readonly training: number;
    readonly heldOut: number;
  }[];
  readonly scan: { readonly name: string; readonly image: string; readonly label: string };
}

const HELD_OUT_CASES = 2;

export async function prepareDemoData(folder: string, settings: DemoSettings, signal: AbortSignal): Promise<DemoData> {
  return settings.dataset
    ? divideDataset(folder, settings, settings.dataset, signal)
    : makePhantoms(folder, settings, signal);
}

async function makePhantoms(folder: string, { sites, seed }: DemoSettings, signal: AbortSignal): Promise<DemoData> {
  const made: DemoData['sites'][number][] = [];
  for (const [index, site] of sites.entries()) {
    const options = {
      cases: DEMO_PHANTOM.cases,
      heldOut: HELD_OUT_CASES,
      seed: deriveSeed(seed, site),
      ...phantomOf(index),
    };
    const target = path.join(folder, 'sites', site, 'dataset');
    made.push(sizesOf(site, await writePhantomDataset(target, { ...options, signal })));
    // Writing is fast but not short: let the services' messages in between two sites.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { image, label } = makePhantom(deriveSeed(seed, 'unseen scan'), phantomOf(sites.length));
  const scan = {
    name: 'A phantom of no site',
    image: path.join(folder, 'scan', 'image.nii.gz'),
    label: path.join(folder, 'scan', 'label.nii.gz'),
  };
  await writeNifti(scan.image, image);
  await writeNifti(scan.label, label);
  return { synthetic: true, sites: made, scan };
}

/** Each site has a scanner of its own; the scan that no site has seen comes from yet another. */
function phantomOf(index: number): PhantomOptions {
  const { name: _, ...style } = PHANTOM_SITE_STYLES[index % PHANTOM_SITE_STYLES.length]!;
  return { shape: DEMO_PHANTOM.shape, ...style };
}

async function divideDataset(
  folder: string,
  { sites, seed }: DemoSettings,
  source: string,
  signal: AbortSignal,
): Promise<DemoData> {
  // Another archive is unpacked to another folder, even if the first one proved to be of no use.
  const extractTo = path.join(folder, 'datasets', createHash('sha256').update(source).digest('hex').slice(0, 16));
  const dataset = await openDecathlon(source, { extractTo, signal });
  const labelled = dataset.training.length + dataset.validation.length;
  // Few cases: at least one to train on and one to judge by at every site.
  const heldOut = Math.max(1, Math.min(HELD_OUT_CASES, Math.floor(labelled / sites.length / 3)));
  const shares = divideCases(dataset, sites, seed, heldOut);
  const made: DemoData['sites'][number][] = [];
  for (const share of shares) {
    signal.throwIfAborted();
    const target = path.join(folder, 'sites', share.site, 'dataset');
    made.push(sizesOf(share.site, await writeSiteDataset(dataset, share, target)));
  }
  const { site, heldOut: cases } = shares[0]!;
  const scan = cases[0]!;
  return {
    synthetic: false,
    sites: made,
    scan: {
      name: `Held-out case ${scan.id} of ${site}`,
      image: imagePath(dataset, scan),
      label: labelPath(dataset, scan),
    },
  };
}

function sizesOf(site: string, { folder, training, validation }: DecathlonDataset): DemoData['sites'][number] {
  return { site, folder, training: training.length, heldOut: validation.length };
}
