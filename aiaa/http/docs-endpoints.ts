import { escapeHtml } from '../../base/html';
import { endpointsFor } from './openapi';
import { type Endpoint, type Schema, STATUS_MEANINGS } from './openapi-endpoint';

/** The endpoints by group, each folded; from the table that the routes are made from. */
export function renderEndpoints(operators: boolean): string {
  const groups = new Map<string, Endpoint[]>();
  for (const [, endpoint] of endpointsFor(operators)) {
    groups.set(endpoint.tag, [...(groups.get(endpoint.tag) ?? []), endpoint]);
  }
  return [...groups]
    .map(([tag, endpoints]) => `<h3>${escapeHtml(tag)}</h3>${endpoints.map(renderEndpoint).join('\n')}`)
    .join('\n');
}

/** Parameters of all kinds, and the fields of a JSON body. */
function parametersOf({ parameters = [], json }: Endpoint): [name: string, where: string, meaning: string][] {
  const fields = Object.entries((json?.properties ?? {}) as Readonly<Record<string, Schema>>);
  return [
    ...parameters.map(({ name, in: where, description, schema }): [string, string, string] => [
      name,
      where,
      meaningOf(description, schema),
    ]),
    ...fields.map(([name, schema]): [string, string, string] => [
      name,
      'JSON body',
      meaningOf(String(schema.description ?? ''), schema),
    ]),
  ];
}

const NO_PARAMS = '{}';

function meaningOf(description: string, { enum: values, default: preset }: Schema = {}): string {
  const choice = Array.isArray(values) ? [`One of ${values.join(', ')}.`] : [];
  const otherwise = preset === undefined || preset === NO_PARAMS ? [] : [`Default: ${String(preset)}.`];
  return [description, ...choice, ...otherwise].join(' ');
}

export function renderErrors(): string {
  const rows = Object.entries(STATUS_MEANINGS).map(
    ([status, meaning]) => `<tr><th scope="row">${status}</th><td>${escapeHtml(meaning)}</td></tr>`,
  );
  return `<p>An error is JSON with one sentence for the person at the screen:
<code>{"success": false, "error": {"type": "not-found", "message": ["..."]}}</code></p>
<div class="table" tabindex="0" role="region" aria-label="Status codes"><table>
<thead><tr><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead>
<tbody>${rows.join('')}</tbody></table></div>`;
}

function renderEndpoint(endpoint: Endpoint): string {
  const { method, path, summary, answers, errors } = endpoint;
  const rows = parametersOf(endpoint).map(
    ([name, where, meaning]) =>
      `<tr><th scope="row"><code>${escapeHtml(name)}</code></th><td>${where}</td><td>${escapeHtml(meaning)}</td></tr>`,
  );
  const table =
    rows.length === 0
      ? ''
      : `<div class="table" tabindex="0" role="region" aria-label="Parameters of ${method} ${escapeHtml(path)}"><table><thead><tr><th scope="col">Name</th><th scope="col">In</th><th scope="col">Meaning</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
  const answer = answers.map(
    ({ type, description }) => `<p class="answer"><code>${type}</code> ${escapeHtml(description)}</p>`,
  );
  const failures = errors.length === 0 ? '' : `<p class="answer">Errors: ${errors.join(', ')}</p>`;
  return `<details class="endpoint"><summary><span class="method ${method.toLowerCase()}">${method}</span> <code>${escapeHtml(path)}</code> <span class="what">${escapeHtml(summary)}</span></summary>
<div class="inside">${table}${answer.join('')}${failures}</div></details>`;
}
