import type { DataSet } from 'dicom-parser';
import { ClaraError, type Fault, showValue } from '../../base/errors';
import type { Vector3 } from '../volume';
import { type DicomFile, decimal, decimals, itemsOf, unsignedShort, vector } from './data-set';
import { ENCODINGS, type Encoding } from './uids';

/** What the stored bits of a pixel are (PS3.3, section C.7.6.3). */
export interface PixelFormat {
  readonly bitsAllocated: 8 | 16 | 32;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly signed: boolean;
  readonly encoding: Encoding;
  readonly bigEndian: boolean;
}

/** One image plane: a file, or a frame of an enhanced multi-frame file. Lengths are millimetres in LPS+ axes of the patient. */
export interface Slice {
  /** What messages call it. */
  readonly name: string;
  readonly seriesUid: string;
  readonly frameOfReferenceUid?: string;
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  /** From 0, in the file. */
  readonly frame: number;
  /** Of the file. */
  readonly frames: number;
  readonly rows: number;
  readonly columns: number;
  /** Centre of the first pixel. */
  readonly position: Vector3;
  /** Unit vectors along a row and along a column. */
  readonly rowDirection: Vector3;
  readonly columnDirection: Vector3;
  /** From row to row, and from column to column. */
  readonly rowSpacing: number;
  readonly columnSpacing: number;
  readonly thickness?: number;
  readonly format: PixelFormat;
  /** `real = slope * stored + intercept`. */
  readonly slope: number;
  readonly intercept: number;
  /**
   * Whether low values are meant to be white (MONOCHROME1) and have no unit: then values are turned round. Hounsfield units and
   * other measurements stay what they are, however a screen is to show them.
   */
  readonly inverted: boolean;
}

/** More planes are no volume that anybody segments. */
const MAX_FRAMES = 8192;
const UNIT_TOLERANCE = 1e-3;

/**
 * The planes of a file.
 *
 * @throws ClaraError unsupported for what has no grid of numbers (colours, reports, structures); invalid-input with every
 *   attribute that is missing or makes no sense
 */
export function slicesOf(file: DicomFile): Slice[] {
  const { dataSet, name } = file;
  mustBeGreyImage(file);
  const faults: Fault[] = [];
  const need = <Value>(value: Value | undefined, keyword: string, rule: string, found?: string): Value | undefined => {
    if (value === undefined) faults.push({ path: keyword, ...(found === undefined ? {} : { value: found }), rule });
    return value;
  };
  const rows = need(positive(unsignedShort(dataSet, 'x00280010')), 'Rows', 'must be a number of pixels');
  const columns = need(positive(unsignedShort(dataSet, 'x00280011')), 'Columns', 'must be a number of pixels');
  const format = formatOf(file, faults);
  const identity = {
    seriesUid: need(uid(dataSet, 'x0020000e'), 'SeriesInstanceUID', 'must be there'),
    sopClassUid: need(uid(dataSet, 'x00080016'), 'SOPClassUID', 'must be there'),
    sopInstanceUid: need(uid(dataSet, 'x00080018'), 'SOPInstanceUID', 'must be there'),
  };
  const frames = framesOf(dataSet, faults);
  const planes = frames.map((frame, index) => {
    const own = frames.length === 1 ? name : `frame ${index + 1} of ${name}`;
    return { name: own, frame: index, frames: frames.length, ...planeOf(frame, faults), ...scaleOf(frame, dataSet) };
  });
  if (faults.length > 0) throw ClaraError.ofFaults(name, faults.slice(0, 20));
  const frameOfReferenceUid = uid(dataSet, 'x00200052');
  return planes.map((plane) => ({ ...plane, ...identity, frameOfReferenceUid, rows, columns, format }) as Slice);
}

function mustBeGreyImage({ dataSet, name, transferSyntax }: DicomFile): void {
  const samples = unsignedShort(dataSet, 'x00280002');
  if (samples === undefined || dataSet.elements.x7fe00010 === undefined) {
    throw new ClaraError('unsupported', `${name} holds no image: send the slices of a scan alone`);
  }
  const photometric = dataSet.string('x00280004');
  if (samples !== 1 || !/^MONOCHROME[12]$/.test(photometric ?? '')) {
    throw new ClaraError('unsupported', `${name} is an image in colours: send slices with one grey value a pixel`);
  }
  if (ENCODINGS[transferSyntax] === undefined) {
    throw new ClaraError(
      'unsupported',
      `${name} has the transfer syntax ${showValue(transferSyntax, 70)}, which is not read here: send it uncompressed, ` +
        'or as RLE, JPEG, JPEG lossless, JPEG-LS or JPEG 2000',
    );
  }
}

function formatOf({ dataSet, transferSyntax }: DicomFile, faults: Fault[]): PixelFormat | undefined {
  const bitsAllocated = unsignedShort(dataSet, 'x00280100');
  const bitsStored = unsignedShort(dataSet, 'x00280101') ?? bitsAllocated;
  const highBit = unsignedShort(dataSet, 'x00280102') ?? (bitsStored ?? 0) - 1;
  if (bitsAllocated !== 8 && bitsAllocated !== 16 && bitsAllocated !== 32) {
    faults.push({ path: 'BitsAllocated', value: String(bitsAllocated), rule: 'must be 8, 16 or 32' });
    return undefined;
  }
  if (bitsStored === undefined || bitsStored < 1 || bitsStored > bitsAllocated) {
    faults.push({ path: 'BitsStored', value: String(bitsStored), rule: `must be 1 to ${bitsAllocated}` });
    return undefined;
  }
  if (highBit < bitsStored - 1 || highBit >= bitsAllocated) {
    faults.push({ path: 'HighBit', value: String(highBit), rule: `must be ${bitsStored - 1} to ${bitsAllocated - 1}` });
    return undefined;
  }
  const signed = unsignedShort(dataSet, 'x00280103') === 1;
  const bigEndian = transferSyntax === '1.2.840.10008.1.2.2';
  return { bitsAllocated, bitsStored, highBit, signed, encoding: ENCODINGS[transferSyntax], bigEndian };
}

/** Where to look for what differs from plane to plane: the first data set that has it counts. */
type Scope = readonly DataSet[];

/** One scope a frame. Enhanced files keep geometry in functional groups (PS3.3, section C.7.6.16). */
function framesOf(dataSet: DataSet, faults: Fault[]): Scope[] {
  const count = decimal(dataSet, 'x00280008') ?? 1;
  if (!Number.isInteger(count) || count < 1 || count > MAX_FRAMES) {
    faults.push({ path: 'NumberOfFrames', value: showValue(count), rule: `must be 1 to ${MAX_FRAMES}` });
    return [];
  }
  const [shared] = itemsOf(dataSet, 'x52009229');
  const each = itemsOf(dataSet, 'x52009230');
  if (shared === undefined && each.length === 0 && count === 1) return [[dataSet]];
  if (each.length !== count) {
    faults.push({
      path: 'NumberOfFrames',
      value: String(count),
      rule: 'needs as many items of PerFrameFunctionalGroupsSequence, or frames have no place in the patient',
    });
    return [];
  }
  return each.map((own) => (shared === undefined ? [own] : [own, shared]));
}

/** The item of a functional group, or the data set itself where files have no groups. */
function groupOf(scope: Scope, tag: string): DataSet | undefined {
  for (const dataSet of scope) {
    const [item] = itemsOf(dataSet, tag);
    if (item !== undefined) return item;
  }
  return scope.length === 1 ? scope[0] : undefined;
}

type Plane = Pick<
  Slice,
  'position' | 'rowDirection' | 'columnDirection' | 'rowSpacing' | 'columnSpacing' | 'thickness'
>;

function planeOf(scope: Scope, faults: Fault[]): Plane | undefined {
  const before = faults.length;
  const fault = (path: string, rule: string) => faults.push({ path, rule });
  const place = groupOf(scope, 'x00209113');
  const position = place && vector(place, 'x00200032');
  if (position === undefined) fault('ImagePositionPatient', 'must be three numbers, or the slice has no place');
  const turn = groupOf(scope, 'x00209116');
  const cosines = turn && decimals(turn, 'x00200037', 6);
  if (cosines === undefined || !areAxes(cosines)) {
    fault('ImageOrientationPatient', 'must be two unit vectors at right angles');
  }
  const measures = groupOf(scope, 'x00289110');
  const spacing = measures && decimals(measures, 'x00280030', 2);
  if (spacing === undefined || !spacing.every((step) => step > 0)) {
    fault('PixelSpacing', 'must be two lengths greater than 0');
  }
  if (faults.length > before) return undefined;
  const [ax, ay, az, bx, by, bz] = cosines!;
  return {
    position: position!,
    rowDirection: [ax, ay, az],
    columnDirection: [bx, by, bz],
    rowSpacing: spacing![0],
    columnSpacing: spacing![1],
    thickness: positive(decimal(measures!, 'x00180050')),
  };
}

function areAxes([ax, ay, az, bx, by, bz]: readonly number[]): boolean {
  const unit = (x: number, y: number, z: number): boolean => Math.abs(Math.hypot(x, y, z) - 1) <= UNIT_TOLERANCE;
  return unit(ax, ay, az) && unit(bx, by, bz) && Math.abs(ax * bx + ay * by + az * bz) <= UNIT_TOLERANCE;
}

function scaleOf(scope: Scope, dataSet: DataSet): Pick<Slice, 'slope' | 'intercept' | 'inverted'> {
  const transformation = groupOf(scope, 'x00289145') ?? dataSet;
  const slope = decimal(transformation, 'x00281053') ?? 1;
  const intercept = decimal(transformation, 'x00281052') ?? 0;
  const unit = transformation.string('x00281054') ?? '';
  const measured = /^(CT|PT)$/.test(dataSet.string('x00080060') ?? '') || !/^(US|)$/.test(unit);
  return {
    slope: slope === 0 ? 1 : slope,
    intercept,
    inverted: dataSet.string('x00280004') === 'MONOCHROME1' && !measured,
  };
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

/** Identifiers are digits and dots, 64 at most (PS3.5, section 9.1). */
function uid(dataSet: DataSet, tag: string): string | undefined {
  const value = dataSet.string(tag);
  return value !== undefined && /^[0-9.]{1,64}$/.test(value) ? value : undefined;
}
