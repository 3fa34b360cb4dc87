import { z } from 'zod';
import { ClaraError, showValue } from '../../base/errors';
import { faultsOf } from '../../base/faults';
import { MASK_DTYPES, type MaskDtype } from '../inference/worker-protocol';
import type { VolumeExtension } from '../storage/uploaded-volume';

/** How the mask is wanted. */
export interface ResultFormat {
  readonly extension: VolumeExtension | '.dcm';
  readonly dtype: MaskDtype;
  /** Whether a `.nrrd` file is compressed. */
  readonly compress: boolean;
  /** Whether the largest piece of each label alone is wanted. */
  readonly largestOnly: boolean;
}

/** The part of `params` that this server reads; anything else in it belongs to other kinds of models. */
const paramsSchema = z.looseObject({
  result_extension: z.string().optional(),
  result_dtype: z.enum(MASK_DTYPES, `use one of ${MASK_DTYPES.join(', ')}`).optional(),
  result_compress: z.union([z.boolean(), z.stringbool()], 'use true or false').optional(),
  /** As MONAI Label's models take it: any value that Python takes for true or false. */
  largest_cc: z
    .union([z.boolean(), z.stringbool(), z.literal([0, 1]), z.null()], 'use true or false')
    .transform(Boolean)
    .optional(),
});

export type RequestParams = z.infer<typeof paramsSchema>;

/**
 * Reads the form's field `params`.
 *
 * @param text JSON; absent or empty means `{}`
 * @throws ClaraError `invalid-input` with every fault
 */
export function parseParams(text: string | undefined): RequestParams {
  if (text === undefined || text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ClaraError(
      'invalid-input',
      `The field "params" is not JSON (${showValue(text)}); send a JSON object such as {}.`,
    );
  }
  const parsed = paramsSchema.safeParse(value);
  if (!parsed.success) throw ClaraError.ofFaults('The field "params"', faultsOf(parsed.error, value));
  return parsed.data;
}

/** @throws ClaraError `unsupported` for a file format that this server does not write */
export function resultFormatOf(params: RequestParams): ResultFormat {
  const { result_extension: wanted, result_compress: compress, result_dtype: dtype = 'uint8' } = params;
  const rest = { dtype, compress: compress !== false, largestOnly: params.largest_cc === true };
  const extension = wanted ? `.${wanted.replace(/^\./, '').toLowerCase()}` : compress === false ? '.nii' : '.nii.gz';
  switch (extension) {
    case '.nii.gz':
    case '.nrrd':
    case '.dcm':
      return { extension, ...rest };
    case '.nii':
      return { extension: compress === true ? '.nii.gz' : extension, ...rest };
    default:
      throw new ClaraError(
        'unsupported',
        `Masks are not written as ${showValue(wanted)}; ask for the result_extension ".nii.gz", ".nii", ".nrrd" or ".dcm".`,
      );
  }
}
