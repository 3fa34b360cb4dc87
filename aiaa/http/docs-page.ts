import { escapeHtml } from '../../base/html';
import type { ModelObject } from '../registry/model-entry';
import { renderEndpoints, renderErrors } from './docs-endpoints';
import { DOCS_PREVIEW } from './docs-preview';
import { DOCS_SCRIPT } from './docs-script';
import { DOCS_STYLE } from './docs-style';
import { renderTryIt } from './docs-try-it';

export interface DocsFacts {
  /** The server's address as the reader sees it, ending in a slash. */
  readonly address: string;
  readonly models: readonly ModelObject[];
  readonly uploadBytes: number;
  readonly sessionSeconds: number;
  /** Whether the endpoints for operators are told. */
  readonly operators: boolean;
}

/** The whole script of the page; its digest goes into the content security policy. */
export const PAGE_SCRIPT = `${DOCS_PREVIEW}${DOCS_SCRIPT}`;

/**
 * The API page: one HTML document without fonts, images or scripts from anywhere else, readable on a phone, with a screen
 * reader, on paper, and, but for the form, without its script.
 */
export function renderDocs(facts: DocsFacts): string {
  const { address, models } = facts;
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
<div class="address"><div><span>Address for your client</span><code id="address">${escapeHtml(address)}</code></div>
<button type="button" class="quiet" data-copy="address" hidden>Copy</button></div>
<p class="state" id="state" role="status" hidden></p>
</header>
<nav aria-label="On this page"><a href="#models">Models</a><a href="#try">Try it</a><a href="#start">Clients</a><a href="#endpoints">Endpoints</a><a href="#errors">Errors</a></nav>
<main>
<section id="models"><h2>Models</h2>
${renderModels(models)}
</section>
<section id="try"><h2>Try it</h2>
${renderTryIt(address, models)}
</section>
<section id="start"><h2>Clients</h2>
${renderClients(facts)}
</section>
<section id="endpoints"><h2>Endpoints</h2>
<p>Paths are answered with and without a slash at the end. The same as an OpenAPI 3.1 document:
<a href="${escapeHtml(address)}openapi.json">openapi.json</a>.</p>
${renderEndpoints(facts.operators)}
</section>
<section id="errors"><h2>Errors</h2>
${renderErrors()}
</section>
</main>
<footer><p>clara-federation · Apache-2.0</p></footer>
<script>${PAGE_SCRIPT}</script>
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
<p class="meta"><span>${escapeHtml(type)}</span><span>version ${escapeHtml(version)}</span></p><p>${escapeHtml(description)}</p>
<ul class="chips" aria-label="Labels">${chips}</ul></li>`;
}

function renderClients({ uploadBytes, sessionSeconds }: DocsFacts): string {
  return `<div class="clients">
<article><h3>3D Slicer</h3><ol>
<li>Install the extension <em>NvidiaAIAssistedAnnotation</em> and open the module <em>Segment Editor</em>.</li>
<li>Choose the effect <em>Nvidia AIAA</em> and enter the address above, as it stands: with its scheme, without <code>/v1</code>.</li>
<li>Under <em>Auto-segmentation</em> choose a model and press <em>Start</em>; or set six points on the edges of an organ under
<em>Boundary points</em>; or click on it under <em>DeepGrow</em>.</li></ol>
<p>The module <em>MONAI Label</em> works with the same address.</p></article>
<article><h3>MITK, OHIF</h3><p>Enter the same address as the server of AIAA or of MONAI Label (the latter tool of MITK speaks HTTPS
alone). A viewer in a browser is let in when the administrator has
named its origin: <code>clara-fed aiaa start --cors-origin https://viewer.example.org</code>.</p></article>
</div>
<p class="note">Volumes may have up to ${showMiB(uploadBytes)} MiB as sent. A volume is deleted as soon as its mask has been sent;
a session keeps one for at most ${showMinutes(sessionSeconds)} minutes after its last use, and the datastore of MONAI Label until somebody deletes it there.</p>
<p class="note">Masks are suggestions for a person to check. They are not a diagnosis.</p>`;
}

function showMiB(bytes: number): string {
  return String(Math.round((bytes / 2 ** 20) * 10) / 10);
}

function showMinutes(seconds: number): string {
  return String(Math.round((seconds / 60) * 10) / 10);
}
