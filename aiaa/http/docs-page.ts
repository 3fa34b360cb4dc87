import { escapeHtml } from '../../base/html';
import type { ModelObject } from '../registry/model-entry';
import { ENDPOINTS, type Endpoint, ERROR_ROWS } from './docs-content';
import { DOCS_STYLE } from './docs-style';

export interface DocsFacts {
  /** The server's address as the reader sees it, ending in a slash. */
  readonly address: string;
  readonly models: readonly ModelObject[];
  readonly uploadBytes: number;
  readonly sessionSeconds: number;
}

/** The API page: one HTML document without scripts, fonts or images from anywhere, readable with a screen reader and on paper. */
export function renderDocs(facts: DocsFacts): string {
  const example = facts.models[0]?.name ?? 'MODEL';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Annotation server · API</title>
<link rel="icon" href="data:,">
<style>${DOCS_STYLE}</style>
</head>
<body>
<a class="skip" href="#models">Skip to the models</a>
<header>
<p class="eyebrow">clara-federation</p>
<h1>Annotation server</h1>
<p class="lead">Send a CT volume, get back a mask on the same grid. This server speaks the AI-Assisted Annotation (AIAA) API that
3D Slicer, MITK and OHIF know.</p>
<p class="address"><span>Address for your client</span><code>${escapeHtml(facts.address)}</code></p>
</header>
<nav aria-label="On this page"><a href="#models">Models</a><a href="#start">Start</a><a href="#endpoints">Endpoints</a><a href="#errors">Errors</a></nav>
<main>
<section id="models"><h2>Models</h2>
${renderModels(facts.models)}
</section>
<section id="start"><h2>Start</h2>
<h3>3D Slicer</h3>
<ol>
<li>Install the extension <em>NvidiaAIAssistedAnnotation</em> and open the module <em>Segment Editor</em>.</li>
<li>Choose the effect <em>Nvidia AIAA</em> and enter the address above, as it stands: with its scheme, without <code>/v1</code>.</li>
<li>Under <em>Auto-segmentation</em> choose a model and press <em>Start</em>.</li>
</ol>
<h3>Command line</h3>
<pre tabindex="0"><code>${escapeHtml(curlExample(facts.address, example))}</code></pre>
<p class="note">Volumes are NIfTI-1 files (<code>.nii</code>, <code>.nii.gz</code>), up to ${showMiB(facts.uploadBytes)} MiB as sent. A volume is
deleted as soon as its mask has been sent; only a session keeps one, for at most ${showMinutes(facts.sessionSeconds)} minutes after its
last use.</p>
<p class="note">Masks are suggestions for a person to check. They are not a diagnosis.</p>
</section>
<section id="endpoints"><h2>Endpoints</h2>
${ENDPOINTS.map(renderEndpoint).join('\n')}
</section>
<section id="errors"><h2>Errors</h2>
<p>An error is JSON with one sentence for the person at the screen:
<code>{"success": false, "error": {"type": "not-found", "message": ["..."]}}</code></p>
<div class="table" tabindex="0" role="region" aria-label="Status codes"><table>
<thead><tr><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead>
<tbody>${ERROR_ROWS.map(([status, meaning]) => `<tr><th scope="row">${status}</th><td>${escapeHtml(meaning)}</td></tr>`).join('')}</tbody>
</table></div>
</section>
</main>
<footer><p>clara-federation · Apache-2.0</p></footer>
</body>
</html>
`;
}

function renderModels(models: readonly ModelObject[]): string {
  if (models.length === 0) return '<p class="empty">No model is published yet. It appears here as soon as one is.</p>';
  return `<ul class="cards">${models.map(renderModel).join('')}</ul>`;
}

function renderModel({ name, type, labels, description, version }: ModelObject): string {
  const chips = labels.map((label) => `<li>${escapeHtml(label)}</li>`).join('');
  return `<li class="card"><h3><code>${escapeHtml(name)}</code></h3>
<p class="meta">${escapeHtml(type)} · version ${escapeHtml(version)}</p><p>${escapeHtml(description)}</p>
<ul class="chips" aria-label="Labels">${chips}</ul></li>`;
}

function renderEndpoint({ method, path, summary, parameters, answer }: Endpoint): string {
  const rows = parameters
    .map(
      ([name, where, meaning]) =>
        `<tr><th scope="row"><code>${escapeHtml(name)}</code></th><td>${where}</td><td>${escapeHtml(meaning)}</td></tr>`,
    )
    .join('');
  const table =
    rows === ''
      ? ''
      : `<div class="table" tabindex="0" role="region" aria-label="Parameters of ${method} ${escapeHtml(path)}"><table><thead><tr><th scope="col">Name</th><th scope="col">In</th><th scope="col">Meaning</th></tr></thead><tbody>${rows}</tbody></table></div>`;
  return `<article><h3><span class="method ${method.toLowerCase()}">${method}</span> <code>${escapeHtml(path)}</code></h3>
<p>${escapeHtml(summary)}</p>${table}<p class="answer"><strong>Answer</strong> ${escapeHtml(answer)}</p></article>`;
}

function curlExample(address: string, model: string): string {
  return [
    `curl ${address}v1/models`,
    '',
    `curl "${address}v1/segmentation?model=${model}&output=image" \\`,
    "  -F 'params={}' -F image=@ct.nii.gz -o mask.nii.gz",
  ].join('\n');
}

function showMiB(bytes: number): string {
  return String(Math.round((bytes / 2 ** 20) * 10) / 10);
}

function showMinutes(seconds: number): string {
  return String(Math.round((seconds / 60) * 10) / 10);
}
