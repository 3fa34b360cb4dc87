import { ClaraError } from '../../base/errors';
import type { Mask } from '../volume';
import { storeVolume } from '../volume-bytes';
import { attribute, decimal, type Element, encodeElements, long, sequence, short, text } from './element-writer';
import { codeItem, segmentCodes } from './segment-codes';
import { CHARACTER_SET, REPEATED, type SeriesReference } from './series-reference';
import { EXPLICIT_LITTLE_ENDIAN, newUid, SEGMENTATION_STORAGE } from './uids';

export interface SegmentationOptions {
  /** What the values 1, 2, 3... of the mask stand for. */
  readonly labels: readonly string[];
  /** What made the mask, such as the name of a model. */
  readonly algorithm: string;
  readonly algorithmVersion?: string;
  /** Whether a person pointed at things. @default 'AUTOMATIC' */
  readonly algorithmType?: 'AUTOMATIC' | 'SEMIAUTOMATIC';
  /** @default now */
  readonly date?: Date;
}

/** Names this program in files (PS3.10, section 7.1); an arc of a random UUID, fixed once. */
const IMPLEMENTATION_UID = '2.25.190283746501928374650192837465019283746';
const MANUFACTURER = 'clara-federation';

/**
 * The bytes of a DICOM segmentation (PS3.3, section A.51): binary, a segment for each label, a frame for each slice that a
 * segment touches, in the orientation, place and frame of reference of the series, which it refers to.
 *
 * @throws ClaraError invalid-input when the mask has another grid than the series or a value without a label
 */
export function encodeSegmentation(mask: Mask, series: SeriesReference, options: SegmentationOptions): Uint8Array {
  const [columns, rows, count] = mask.geometry.shape;
  if (columns !== series.columns || rows !== series.rows || count !== series.slices.length) {
    throw new ClaraError(
      'invalid-input',
      `a mask of ${mask.geometry.shape.join(' x ')} does not lie on the series of ` +
        `${series.columns} x ${series.rows} x ${series.slices.length}: segment the series itself`,
    );
  }
  const frames = framesOf(mask, options.labels.length);
  const instance = newUid();
  const dataSet = encodeElements([
    ...repeatedElements(series),
    ...instanceElements(instance, series, options),
    ...imageElements(series, frames.length),
    sequence('00620002', ...segmentItems(options)),
    ...dimensionElements(),
    sequence('52009229', sharedGroups(series)),
    sequence('52009230', ...frames.map((frame) => frameGroups(frame, series))),
    sequence('00081115', referencedSeries(series)),
    { tag: '7fe00010', vr: 'OB', value: packed(mask, frames) },
  ]);
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM', 'latin1'), metaInformation(instance), dataSet]);
}

/** Writes a segmentation; the file is there whole or not at all. */
export async function writeSegmentation(
  target: string,
  mask: Mask,
  series: SeriesReference,
  options: SegmentationOptions,
): Promise<void> {
  await storeVolume(target, encodeSegmentation(mask, series, options));
}

interface Frame {
  /** From 1, like the mask's values. */
  readonly segment: number;
  /** Slice, from 0. */
  readonly k: number;
}

/** What is to be written: only slices that a segment touches, and one empty frame where there is nothing at all. */
function framesOf({ geometry, data }: Mask, segments: number): Frame[] {
  const [columns, rows, count] = geometry.shape;
  const touched = Array.from({ length: segments + 1 }, () => new Set<number>());
  const pixels = columns * rows;
  for (let k = 0, at = 0; k < count; k += 1) {
    for (const end = at + pixels; at < end; at += 1) {
      const value = data[at];
      if (value === 0) continue;
      if (value > segments) {
        throw new ClaraError('invalid-input', `the mask has the value ${value}, but only ${segments} labels are named`);
      }
      touched[value].add(k);
    }
  }
  const frames = touched.flatMap((slices, segment) => [...slices].map((k) => ({ segment, k })));
  return frames.length > 0 ? frames : [{ segment: 1, k: 0 }];
}

/** One bit a pixel, lowest bit first, frames without a gap (PS3.5, section 8.1.1 and annex D). */
function packed({ geometry, data }: Mask, frames: readonly Frame[]): Uint8Array {
  const pixels = geometry.shape[0] * geometry.shape[1];
  const bytes = new Uint8Array(Math.ceil((pixels * frames.length) / 8));
  for (const [index, { segment, k }] of frames.entries()) {
    const first = index * pixels;
    const source = data.subarray(k * pixels, (k + 1) * pixels);
    for (let at = 0; at < pixels; at += 1) {
      if (source[at] === segment) bytes[(first + at) >>> 3] |= 1 << ((first + at) & 7);
    }
  }
  return bytes;
}

function metaInformation(instance: string): Buffer {
  const elements = encodeElements([
    { tag: '00020001', vr: 'OB', value: Uint8Array.of(0, 1) },
    text('00020002', 'UI', SEGMENTATION_STORAGE),
    text('00020003', 'UI', instance),
    text('00020010', 'UI', EXPLICIT_LITTLE_ENDIAN),
    text('00020012', 'UI', IMPLEMENTATION_UID),
  ]);
  return Buffer.concat([encodeElements([long('00020000', elements.length)]), elements]);
}

/** What is known of patient and study; the rest is empty, as type 2 allows, but for a character set, which must then be absent. */
function repeatedElements({ attributes }: SeriesReference): Element[] {
  return Object.entries(REPEATED)
    .filter(([tag]) => tag !== CHARACTER_SET || attributes[tag] !== undefined)
    .map(([tag, vr]) => ({ tag: tag.slice(1), vr, value: Buffer.from(attributes[tag] ?? '', 'base64') }));
}

function instanceElements(instance: string, series: SeriesReference, options: SegmentationOptions): Element[] {
  const { date = new Date() } = options;
  const [day, time] = [date.toISOString().slice(0, 10), date.toISOString().slice(11, 19)];
  const [contentDate, contentTime] = [day.replaceAll('-', ''), time.replaceAll(':', '')];
  return [
    text('00080008', 'CS', 'DERIVED', 'PRIMARY'),
    text('00080016', 'UI', SEGMENTATION_STORAGE),
    text('00080018', 'UI', instance),
    text('00080023', 'DA', contentDate),
    text('00080033', 'TM', contentTime),
    text('00080060', 'CS', 'SEG'),
    text('00080070', 'LO', MANUFACTURER),
    text('00081090', 'LO', 'annotation server'),
    text('0008103e', 'LO', 'Segmentation'),
    text('00181000', 'LO', 'none'),
    text('00181020', 'LO', '1'),
    text('0020000e', 'UI', newUid()),
    text('00200011', 'IS', '1000'),
    text('00200013', 'IS', '1'),
    text('00200052', 'UI', series.frameOfReferenceUid ?? newUid()),
    text('00201040', 'LO'),
    text('00700080', 'CS', 'SEGMENTATION'),
    text('00700081', 'LO', 'Segmentation'),
    text('00700084', 'PN'),
  ];
}

function imageElements(series: SeriesReference, frames: number): Element[] {
  return [
    short('00280002', 1),
    text('00280004', 'CS', 'MONOCHROME2'),
    text('00280008', 'IS', String(frames)),
    short('00280010', series.rows),
    short('00280011', series.columns),
    short('00280100', 1),
    short('00280101', 1),
    short('00280102', 0),
    short('00280103', 0),
    text('00282110', 'CS', '00'),
    text('00620001', 'CS', 'BINARY'),
  ];
}

const LONGEST_LABEL = 64;

function segmentItems({ labels, algorithm, algorithmVersion = '1', algorithmType = 'AUTOMATIC' }: SegmentationOptions) {
  // Labels are ASCII with respect to any character set that the patient's name may need; a backslash would separate values.
  const plain = (label: string): string => label.replace(/[^\x20-\x5b\x5d-\x7e]/g, '?').slice(0, LONGEST_LABEL);
  return labels.map((label, at) => [
    short('00620004', at + 1),
    text('00620005', 'LO', plain(label)),
    text('00620008', 'CS', algorithmType),
    text('00620009', 'LO', plain(algorithm)),
    ...segmentCodes(label),
    sequence('00620007', [
      sequence('0066002f', codeItem('123110', 'DCM', 'Artificial Intelligence')),
      text('00660036', 'LO', plain(algorithm)),
      text('00660031', 'LO', plain(algorithmVersion)),
    ]),
  ]);
}

/** Frames are indexed by segment, then by place. */
function dimensionElements(): Element[] {
  const organisation = newUid();
  const index = (pointer: string, group: string): Element[] => [
    text('00209164', 'UI', organisation),
    attribute('00209165', pointer),
    attribute('00209167', group),
  ];
  return [
    sequence('00209221', [text('00209164', 'UI', organisation)]),
    sequence('00209222', index('0062000b', '0062000a'), index('00200032', '00209113')),
  ];
}

function sharedGroups({ orientation, spacing, sliceStep, thickness }: SeriesReference): Element[] {
  return [
    sequence('00209116', [decimal('00200037', ...orientation)]),
    sequence('00289110', [
      decimal('00180050', thickness ?? sliceStep),
      decimal('00180088', sliceStep),
      decimal('00280030', ...spacing),
    ]),
  ];
}

function frameGroups({ segment, k }: Frame, { slices }: SeriesReference): Element[] {
  const slice = slices[k];
  return [
    sequence('00209111', [long('00209157', segment, k + 1)]),
    sequence('00209113', [decimal('00200032', ...slice.position)]),
    sequence('0062000a', [short('0062000b', segment)]),
    sequence('00089124', [
      sequence('00089215', codeItem('113076', 'DCM', 'Segmentation')),
      sequence('00082112', [
        ...referenced(slice),
        ...(slice.frame === undefined ? [] : [text('00081160', 'IS', String(slice.frame))]),
        text('0028135a', 'CS', 'YES'),
        sequence('0040a170', codeItem('121322', 'DCM', 'Source image for image processing operation')),
      ]),
    ]),
  ];
}

function referencedSeries({ seriesUid, slices }: SeriesReference): Element[] {
  const instances = new Map(slices.map((slice) => [slice.sopInstanceUid, slice]));
  return [text('0020000e', 'UI', seriesUid), sequence('0008114a', ...[...instances.values()].map(referenced))];
}

function referenced(slice: SeriesReference['slices'][number]): Element[] {
  return [text('00081150', 'UI', slice.sopClassUid), text('00081155', 'UI', slice.sopInstanceUid)];
}
