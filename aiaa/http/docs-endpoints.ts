import { escapeHtml } from '../../base/html';
import { endpointsFor } from './openapi';
import { type Endpoint, STATUS_MEANINGS } from './openapi-endpoint';

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

function renderEndpoint({ method, path, summary, parameters = [], answers, errors }: Endpoint): string {
  const rows = parameters.map(
    ({ name, in: where, description }) =>
      `<tr><th scope="row"><code>${escapeHtml(name)}</code></th><td>${where}</td><td>${escapeHtml(description)}</td></tr>`,
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
