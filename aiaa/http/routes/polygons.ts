import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ClaraError, showValue } from '../../../base/errors';
import { faultsOf } from '../../../base/faults';
import { isPng } from '../../../imaging/png-reader';
import { type PolygonEdit, polygonsSchema, slicesSchema, swapAxes } from '../../../imaging/polygons';
import { startOf } from '../../storage/uploaded-volume';
import type { AnnotationContext } from '../context';
import { sendMultipart } from '../file-reply';
import { type ReceivedForm, receiveForm } from '../receive-form';
import { takeUpload } from '../take-volume';

/** What the C++ client asks for; it is also a good density for dragging vertices. */
const USUAL_DISTANCE = 10;

const toPolygonsSchema = z.looseObject({
  more_points: z.coerce.number().int().min(1).max(10_000).default(USUAL_DISTANCE),
});

/** `POST /v1/mask2polygon`: the outlines of a mask, as JSON: of each slice its polygons, of each polygon its vertices [x, y]. */
export async function maskToPolygons(c: AnnotationContext): Promise<Response> {
  const { inference } = c.var.services;
  inference.mustHaveRoom();
  const { form, folder } = await receive(c);
  const { more_points: every } = parse(toPolygonsSchema, form);
  const { file: input } = await takeUpload(c, form, folder);
  const output = path.join(folder, 'polygons.json');
  await inference.work({ kind: 'mask-to-polygons', input, output, every }, c.var.scope.signal);
  const text = await readFile(output, 'utf8');
  return c.body(readsRowsFirst(c) ? JSON.stringify(swapAxes(JSON.parse(text))) : text, 200, {
    'content-type': 'application/json',
  });
}

/** `POST /v1/fixpolygon`: a vertex has been dragged; answers with the polygons that follow it and the mask that they enclose. */
export async function fixPolygon(c: AnnotationContext): Promise<Response> {
  const { inference, limits } = c.var.services;
  inference.mustHaveRoom();
  const { form, folder } = await receive(c);
  const params = parse(editSchema, form);
  const isPicture = form.files.length === 1 && isPng(await startOf(form.files[0].path));
  const rowsFirst = !isPicture && readsRowsFirst(c);
  const edit = editOf(params, rowsFirst);
  const { input, extension } = isPicture
    ? { input: form.files[0].path, extension: '.png' }
    : await takeUpload(c, form, folder).then(({ file, extension }) => ({
        input: file,
        extension: extension === '.nrrd' ? extension : '.nii.gz',
      }));
  if (isPicture && form.files[0].bytes > limits.volumeBytes)
    throw new ClaraError('invalid-input', 'The picture is too large.');
  const output = path.join(folder, `mask${extension}`);
  const answer = path.join(folder, 'polygons.json');
  await inference.work({ kind: 'edit-polygons', input, output, answer, edit }, c.var.scope.signal);
  const found = JSON.parse(await readFile(answer, 'utf8'));
  const poly = !rowsFirst ? found : edit.dimension === 2 ? swapAxes([found])[0] : swapAxes(found);
  // Nothing but the polygons: the C++ client takes the first value that it finds.
  return sendMultipart(c, { poly }, { file: output, name: `mask${extension}` });
}

/**
 * The C++ client, and MITK on top of it, reads vertices of a volume as (row, column), as a slice of numpy has them, and those of a
 * picture as (x, y). It is known by the boundary that its library, Poco, makes for forms.
 */
function readsRowsFirst(c: AnnotationContext): boolean {
  return /boundary="?MIME_boundary_/i.test(c.env.incoming.headers['content-type'] ?? '');
}

async function receive(c: AnnotationContext): Promise<{ form: ReceivedForm; folder: string }> {
  const folder = await c.var.scope.folder();
  return { form: await receiveForm(c.env.incoming, folder, { fileBytes: c.var.services.limits.uploadBytes }), folder };
}

function parse<Schema extends z.ZodType>(schema: Schema, form: ReceivedForm): z.infer<Schema> {
  const text = form.fields.get('params') || '{}';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ClaraError('invalid-input', `The field "params" is not JSON (${showValue(text)}); send a JSON object.`);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw ClaraError.ofFaults('The field "params"', faultsOf(parsed.error, value).slice(0, 20));
  return parsed.data;
}

const index = z.coerce.number().int().nonnegative();
const offset = z.tuple([z.number(), z.number()]);
const reach = z.coerce.number().int().min(0).max(1000);

/** Older clients write the same things otherwise; the oldest sends polygons before and after instead of an offset. */
const editSchema = z.preprocess(
  (given) => {
    if (typeof given !== 'object' || given === null) return given;
    const named = given as Record<string, unknown>;
    const first = (...names: readonly string[]) =>
      names.map((name) => named[name]).find((value) => value !== undefined);
    return {
      dimension: first('dimension') ?? 2,
      poly: first('prev_poly', 'poly'),
      new_poly: named.prev_poly === undefined ? undefined : named.poly,
      polygon_index: first('polygon_index', 'polygonIndex'),
      vertex_index: first('vertex_index', 'vertexIndex'),
      slice_index: first('slice_index', 'sliceIndex'),
      vertex_offset: first('vertex_offset', 'vertexOffset'),
      propagate_neighbor: named.propagate_neighbor ?? 0,
      propagate_neighbor_3d: named.propagate_neighbor_3d ?? 0,
    };
  },
  z.discriminatedUnion('dimension', [
    z.object({
      dimension: z.literal(2),
      poly: polygonsSchema,
      new_poly: polygonsSchema.optional(),
      polygon_index: index,
      vertex_index: index,
      vertex_offset: offset.optional(),
      propagate_neighbor: reach,
    }),
    z.object({
      dimension: z.literal(3),
      poly: slicesSchema,
      slice_index: index,
      polygon_index: index,
      vertex_index: index,
      vertex_offset: offset,
      propagate_neighbor: reach,
      propagate_neighbor_3d: reach,
    }),
  ]),
);

function editOf(params: z.infer<typeof editSchema>, rowsFirst: boolean): PolygonEdit {
  const vertex = {
    polygon: params.polygon_index,
    vertex: params.vertex_index,
    neighbours: params.propagate_neighbor,
  };
  const turned = ([a, b]: readonly [number, number]): [number, number] => (rowsFirst ? [b, a] : [a, b]);
  if (params.dimension === 3) {
    const slices = rowsFirst ? swapAxes(params.poly) : params.poly;
    const { slice_index: slice, propagate_neighbor_3d: neighbourSlices } = params;
    return { dimension: 3, slices, slice, neighbourSlices, offset: turned(params.vertex_offset), ...vertex };
  }
  const polygons = rowsFirst ? swapAxes([params.poly])[0] : params.poly;
  return { dimension: 2, polygons, offset: turned(params.vertex_offset ?? differenceOf(params)), ...vertex };
}

function differenceOf(params: Extract<z.infer<typeof editSchema>, { dimension: 2 }>): [number, number] {
  const { polygon_index: polygon, vertex_index: vertex } = params;
  const from = params.poly[polygon]?.[vertex];
  const to = params.new_poly?.[polygon]?.[vertex];
  if (from === undefined || to === undefined) {
    throw new ClaraError(
      'invalid-input',
      'The field "params" says neither how far the vertex is moved ("vertex_offset": [x, y]) nor where it was and is ("prev_poly", "poly").',
    );
  }
  return [to[0] - from[0], to[1] - from[1]];
}
