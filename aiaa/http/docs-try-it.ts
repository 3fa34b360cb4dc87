import { escapeHtml } from '../../base/html';
import type { ModelObject } from '../registry/model-entry';

/** What a model of each type is asked with, and where. */
const ASKED: Readonly<Record<ModelObject['type'], { readonly endpoint: string; readonly params: string }>> = {
  segmentation: { endpoint: 'inference', params: '{}' },
  others: { endpoint: 'inference', params: '{}' },
  pipeline: { endpoint: 'inference', params: '{}' },
  classification: { endpoint: 'inference', params: '{}' },
  annotation: {
    endpoint: 'dextr3d',
    params: '{"points": [[20, 60, 30], [80, 60, 30], [50, 30, 30], [50, 90, 30], [50, 60, 10], [50, 60, 50]]}',
  },
  deepgrow: { endpoint: 'deepgrow', params: '{"foreground": [[50, 60, 30]], "background": []}' },
};

/** The form that sends a volume and shows what comes back, and the command line that does the same. */
export function renderTryIt(address: string, models: readonly ModelObject[]): string {
  if (models.length === 0) return '<p class="empty">There is nothing to try before a model is published.</p>';
  const options = models.map(({ name, type }) => {
    const { endpoint, params } = ASKED[type];
    return `<option value="${escapeHtml(name)}" data-endpoint="${endpoint}" data-params="${escapeHtml(params)}">${escapeHtml(name)}</option>`;
  });
  return `<form id="form" class="panel">
<div class="fields">
<div class="field"><label for="model">Model</label><select id="model" name="model">${options.join('')}</select></div>
<div class="field"><label for="file">Volume</label><input id="file" name="file" type="file" required>
<p class="hint">A CT on your disk, such as <code>ct.nii.gz</code>. It is deleted here as soon as the mask is sent.</p></div>
<div class="field wide" id="params-field" hidden><label for="params">Parameters</label>
<textarea id="params" name="params" rows="3" spellcheck="false" autocomplete="off">{}</textarea>
<p class="hint">Put your own points in. They are voxel indices <code>[i, j, k]</code> from 0 on, as viewers show them: six on the
edges of the organ (first and last along each axis), or clicks on it and beside it.</p></div>
</div>
<div class="buttons"><button type="submit" id="send">Segment</button><button type="button" id="cancel" class="quiet" hidden>Cancel</button></div>
<progress id="progress" max="1" value="0" aria-label="Upload" hidden></progress>
<p id="said" role="status" aria-live="polite"></p>
<div id="result" hidden>
<a id="download" class="button" download>Download the mask</a>
<div class="table" tabindex="0" role="region" aria-label="What was found"><table id="found"><thead><tr><th scope="col">Label</th><th scope="col">Voxels</th><th scope="col">Volume</th></tr></thead><tbody></tbody></table></div>
<figure id="figure" hidden><canvas id="picture" role="img"></canvas><figcaption id="caption"></figcaption></figure>
</div>
</form>
<h3 id="curl-title">The same on the command line</h3>
<div class="copied"><pre tabindex="0" aria-labelledby="curl-title"><code id="curl">${escapeHtml(curlLine(address, models[0]))}</code></pre>
<button type="button" class="quiet" data-copy="curl" hidden>Copy</button></div>
<noscript><p class="note">The form needs scripts in the browser; the command line does not.</p></noscript>
<script type="application/json" id="labels">${labelsOf(models)}</script>`;
}

function curlLine(address: string, { name, type }: ModelObject): string {
  const { endpoint, params } = ASKED[type];
  return `curl -f -o mask.nii.gz -F 'params=${params}' -F datapoint=@ct.nii.gz \\\n  '${address}v1/${endpoint}?model=${name}&output=image'`;
}

/** Read by the page's script; "<" is escaped, so that no label ends the element. */
function labelsOf(models: readonly ModelObject[]): string {
  return JSON.stringify(Object.fromEntries(models.map(({ name, labels }) => [name, labels]))).replaceAll(
    '<',
    '\\u003c',
  );
}
