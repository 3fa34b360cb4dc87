import type { DataSet } from 'dicom-parser';
import { z } from 'zod';
import type { OrderedSeries } from './series-grid';

/**
 * What a segmentation has to say of the series that it belongs to. It names the patient and the study, because a viewer files
 * the segmentation by them; it goes wherever the volume goes, and nowhere else.
 */
export const seriesReferenceSchema = z.object({
  seriesUid: z.string(),
  frameOfReferenceUid: z.string().optional(),
  rows: z.int().positive(),
  columns: z.int().positive(),
  /** Directions along a row and along a column, LPS+. */
  orientation: z.array(z.number()).length(6),
  /** From row to row and from column to column, mm. */
  spacing: z.tuple([z.number(), z.number()]),
  /** From slice to slice along the normal, or the thickness of a single one, mm. */
  sliceStep: z.number(),
  thickness: z.number().optional(),
  slices: z
    .array(
      z.object({
        sopClassUid: z.string(),
        sopInstanceUid: z.string(),
        /** From 1; absent where the file is one slice. */
        frame: z.int().positive().optional(),
        position: z.tuple([z.number(), z.number(), z.number()]),
      }),
    )
    .min(1),
  /** Attributes of patient and study, as they were: tag to base64. */
  attributes: z.record(z.string(), z.string()),
});

export type SeriesReference = z.infer<typeof seriesReferenceSchema>;

export const CHARACTER_SET = 'x00080005';

/**
 * Attributes of patient and study that a derived object repeats (PS3.3, sections C.7.1.1 and C.7.2.1), with the character set
 * that they are written in.
 */
export const REPEATED: Readonly<Record<string, string>> = {
  [CHARACTER_SET]: 'CS',
  x00080020: 'DA', // StudyDate
  x00080030: 'TM', // StudyTime
  x00080050: 'SH', // AccessionNumber
  x00080090: 'PN', // ReferringPhysicianName
  x00100010: 'PN', // PatientName
  x00100020: 'LO', // PatientID
  x00100030: 'DA', // PatientBirthDate
  x00100040: 'CS', // PatientSex
  x0020000d: 'UI', // StudyInstanceUID
  x00200010: 'SH', // StudyID
};

const LONGEST_VALUE = 1024;

/** @param dataSet of any file of the series */
export function referenceOf({ slices }: OrderedSeries, dataSet: DataSet): SeriesReference {
  const [first] = slices;
  const attributes = Object.keys(REPEATED).flatMap((tag): [string, string][] => {
    const element = dataSet.elements[tag];
    if (element === undefined || element.length === 0 || element.length > LONGEST_VALUE) return [];
    const { dataOffset, length } = element;
    const { buffer, byteOffset } = dataSet.byteArray;
    return [[tag, Buffer.from(buffer as ArrayBuffer, byteOffset + dataOffset, length).toString('base64')]];
  });
  return {
    seriesUid: first.seriesUid,
    frameOfReferenceUid: first.frameOfReferenceUid,
    rows: first.rows,
    columns: first.columns,
    orientation: [...first.rowDirection, ...first.columnDirection],
    spacing: [first.rowSpacing, first.columnSpacing],
    sliceStep: stepAlongNormal(
      slices.map(({ position }) => position),
      first,
    ),
    thickness: first.thickness,
    slices: slices.map(({ sopClassUid, sopInstanceUid, frame, frames, position }) => ({
      sopClassUid,
      sopInstanceUid,
      ...(frames > 1 ? { frame: frame + 1 } : {}),
      position: [...position],
    })),
    attributes: Object.fromEntries(attributes),
  };
}

type Positions = OrderedSeries['slices'][number]['position'][];

function stepAlongNormal(
  positions: Positions,
  { rowDirection: a, columnDirection: b, thickness }: OrderedSeries['slices'][number],
): number {
  if (positions.length === 1) return thickness ?? 1;
  const normal = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const last = positions.length - 1;
  const height = (at: number): number => normal.reduce((sum, value, axis) => sum + value * positions[at][axis], 0);
  return (height(last) - height(0)) / last;
}
