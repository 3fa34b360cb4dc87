import { formRequest, type Part, PYTHON, plainRequest } from './raw-http';

/**
 * What MONAI Label's clients send, byte for byte. The plug-in of 3D Slicer writes forms by hand as NVIDIA's python client does, JSON bodies with
 * http.client, and sessions with the library requests; the viewer's extension (OHIF) sends a browser's FormData.
 */

const CLIENT = '{"client_id": "user-xyz"}';

export const slicer = {
  info: () => plainRequest('GET', '/info/', ['Accept-Encoding: identity']),

  uploadImage: (id: string, file: Buffer) =>
    formRequest(PYTHON, 'PUT', `/datastore/?image=${quotePlus(id)}`, [
      { name: 'params', content: CLIENT },
      { name: 'file', filename: '/tmp/slicer-monai-label/tmp4f.nii.gz', type: 'application/gzip', content: file },
    ]),

  saveLabel: (id: string, file: Buffer) =>
    formRequest(PYTHON, 'PUT', `/datastore/label?image=${quotePlus(id)}`, [
      { name: 'params', content: '{"label_info": [{"name": "spleen", "idx": 1}], "client_id": "user-xyz"}' },
      { name: 'label', filename: '/tmp/slicer-monai-label/tmp5a.nii.gz', type: 'application/gzip', content: file },
    ]),

  infer: (
    model: string,
    id: string,
    options: { readonly session?: string; readonly params?: string; readonly file?: Buffer } = {},
  ) =>
    formRequest(
      PYTHON,
      'POST',
      `/infer/${model}?image=${quotePlus(id)}${options.session ? `&session_id=${options.session}` : ''}`,
      [
        { name: 'params', content: options.params ?? CLIENT },
        ...(options.file === undefined
          ? []
          : [{ name: 'file', filename: '/tmp/slicer-monai-label/tmp6b.nii.gz', content: options.file }]),
      ],
    ),

  nextSample: (strategy: string, params = CLIENT) => jsonRequest('POST', `/activelearning/${strategy}`, params),

  downloadImage: (id: string) => plainRequest('GET', `/datastore/image?image=${quotePlus(id)}`),

  downloadLabel: (id: string, tag: string) => plainRequest('GET', `/datastore/label?label=${quotePlus(id)}&tag=${tag}`),

  datastore: () => plainRequest('GET', '/datastore/?output=all', ['Accept-Encoding: identity']),

  /** requests.put(url, files=[("files", ...)], data={"client_id": ...}): fields first, no type for the file. */
  createSession: (file: Buffer) =>
    formRequest(
      { version: '1.1', boundary: '9f1c2b7d3e4a5f60718293a4b5c6d7e8', quoted: false, epilogue: '' },
      'PUT',
      '/session/',
      [
        { name: 'client_id', content: 'user-xyz' },
        { name: 'files', filename: 'tmp4f.nii.gz', content: file },
      ],
    ),

  trainStart: (model: string) => jsonRequest('POST', `/train/${model}`, '{"max_epochs": 2, "client_id": "user-xyz"}'),
  trainStatus: (check: boolean) => plainRequest('GET', `/train/${check ? '?check_if_running=true' : ''}`),
  trainStop: () => plainRequest('DELETE', '/train/'),

  getSession: (id: string) => plainRequest('GET', `/session/${id}`),
  removeSession: (id: string) => plainRequest('DELETE', `/session/${id}`),
};

/** A viewer in a browser. */
export function viewerInfers(model: string, image: string, params: object): Buffer {
  const browser = {
    version: '1.1',
    boundary: '----WebKitFormBoundaryaBcD1234eFgH5678',
    quoted: false,
    epilogue: '\r\n',
  } as const;
  const parts: Part[] = [{ name: 'params', content: JSON.stringify(params) }];
  return formRequest(browser, 'POST', `/infer/${model}?image=${encodeURIComponent(image)}&output=all`, parts);
}

/** As the viewer's extension takes a reply apart: by the content types of its parts. */
export function viewerReads(
  contentType: string,
  body: Buffer,
): { readonly params: Record<string, unknown>; readonly file: Buffer } {
  const boundary = /boundary=([^;]+)/i.exec(contentType)![1];
  const parts = body
    .toString('latin1')
    .split(`--${boundary}`)
    .filter((part) => part.trim() !== '');
  const json = parts.find((part) => part.includes('Content-Type: application/json'))!;
  const binary = parts.find((part) => part.includes('Content-Type: application/octet-stream'))!;
  const content = binary.slice(binary.indexOf('\r\n\r\n') + 4);
  return {
    params: JSON.parse(json.slice(json.indexOf('{'), json.lastIndexOf('}') + 1)),
    file: Buffer.from(content.slice(0, content.lastIndexOf('\r\n')), 'latin1'),
  };
}

function jsonRequest(method: string, target: string, body: string): Buffer {
  const headers = ['Accept-Encoding: identity', 'content-type: application/json', `content-length: ${body.length}`];
  return Buffer.concat([plainRequest(method, target, headers), Buffer.from(body)]);
}

/** Python's urllib.parse.quote_plus. */
function quotePlus(text: string): string {
  return encodeURIComponent(text).replaceAll('%20', '+');
}
