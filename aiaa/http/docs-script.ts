/** Part of the page's script: the form, the command line, the state of the server, and copying. */
export const DOCS_SCRIPT = String.raw`
const $ = (id) => document.getElementById(id);
const base = location.pathname.replace(/(v1\/)*(docs\/?)?$/, '').replace(/\/?$/, '/');
const address = location.origin + base;
const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

$('address').textContent = address;
for (const button of document.querySelectorAll('[data-copy]')) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText($(button.dataset.copy).textContent);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
}

async function showState() {
  const state = $('state');
  try {
    const reply = await fetch(base + 'health/ready');
    const health = await reply.json();
    state.className = 'state ' + (reply.ok ? 'good' : 'bad');
    state.textContent = (reply.ok ? 'Ready. ' : 'Not ready. ') + health.detail + (health.waiting > 0 ? ' ' + health.waiting + ' waiting.' : '');
  } catch {
    state.className = 'state bad';
    state.textContent = 'The server does not answer.';
  }
  state.hidden = false;
}
showState();

const form = $('form');
if (form) {
  const labels = JSON.parse($('labels').textContent);
  const chosen = () => $('model').selectedOptions[0];
  let sending;
  let link;

  function target() {
    return 'v1/' + chosen().dataset.endpoint + '?model=' + encodeURIComponent(chosen().value) + '&output=image';
  }

  function showCommand() {
    const file = $('file').files[0];
    $('curl').textContent = 'curl -f -o mask.nii.gz -F ' + quoted('params=' + $('params').value) + ' -F ' +
      quoted('datapoint=@' + (file ? file.name : 'ct.nii.gz')) + ' \\\n  ' + quoted(address + target());
  }

  function choose() {
    const simple = chosen().dataset.params === '{}';
    $('params').value = chosen().dataset.params;
    $('params-field').hidden = simple;
    showCommand();
  }

  function say(text, isError) {
    $('said').textContent = text;
    $('said').className = isError ? 'bad' : '';
  }

  async function sentenceOf(request) {
    try {
      return JSON.parse(await request.response.text()).error.message[0];
    } catch {
      return 'The server answered ' + request.status + ' ' + request.statusText + '.';
    }
  }

  function busy(is) {
    $('send').disabled = is;
    $('cancel').hidden = !is;
    $('progress').hidden = !is;
    form.setAttribute('aria-busy', String(is));
  }

  async function show(blob, volumeFile, name, model) {
    if (link) URL.revokeObjectURL(link);
    link = URL.createObjectURL(blob);
    $('download').href = link;
    $('download').download = name;
    $('result').hidden = false;
    const mask = parseNifti(await unpacked(blob));
    $('found').parentElement.hidden = !mask;
    $('figure').hidden = true;
    if (!mask) return;
    const { counts, slice } = countLabels(mask);
    const millilitres = mask.spacing[0] * mask.spacing[1] * mask.spacing[2] / 1000;
    const rows = labels[model].map((label, at) => {
      const row = document.createElement('tr');
      const voxels = counts.get(at + 1) || 0;
      const swatch = document.createElement('span');
      swatch.className = 'swatch';
      swatch.style.background = 'rgb(' + COLOURS[at % COLOURS.length].join() + ')';
      const head = document.createElement('th');
      head.scope = 'row';
      head.append(swatch, label);
      row.append(head, ...[voxels.toLocaleString(), (voxels * millilitres).toFixed(1) + ' ml'].map((text) => {
        const cell = document.createElement('td');
        cell.textContent = text;
        return cell;
      }));
      return row;
    });
    $('found').tBodies[0].replaceChildren(...rows);
    const volume = parseNifti(await unpacked(volumeFile));
    if (!volume || volume.shape.join() !== mask.shape.join()) return;
    drawSlice($('picture'), volume, mask, slice);
    $('picture').setAttribute('aria-label', 'Slice ' + (slice + 1) + ' of the volume with the mask over it');
    $('caption').textContent = 'Slice ' + (slice + 1) + ' of ' + mask.shape[2] + ', the one with most of the mask. Check it before you use it.';
    $('figure').hidden = false;
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const file = $('file').files[0];
    if (!file) { say('Choose a volume first.', true); $('file').focus(); return; }
    const model = chosen().value;
    const body = new FormData();
    body.append('params', $('params').value);
    body.append('datapoint', file, 'volume');
    const began = performance.now();
    const seconds = () => ((performance.now() - began) / 1000).toFixed(1) + ' s';
    const request = new XMLHttpRequest();
    sending = request;
    request.open('POST', base + target());
    request.responseType = 'blob';
    $('result').hidden = true;
    busy(true);
    say('Sending ...');
    const clock = setInterval(() => { if ($('progress').value === 1) say('Segmenting ... ' + seconds()); }, 200);
    request.upload.onprogress = ({ loaded, total }) => { $('progress').value = total ? loaded / total : 0; };
    request.upload.onload = () => { $('progress').value = 1; };
    request.onloadend = async () => {
      clearInterval(clock);
      busy(false);
      $('progress').value = 0;
      if (request.status === 200) {
        say('Done in ' + seconds() + '.');
        const name = /filename="([^"]+)"/.exec(request.getResponseHeader('content-disposition') || '');
        await show(request.response, file, name ? name[1] : 'mask.nii.gz', model);
      } else if (request.status > 0) {
        const again = request.getResponseHeader('retry-after');
        say(await sentenceOf(request) + (again ? ' (Retry-After: ' + again + ' s)' : ''), true);
      } else {
        say(sending === request ? 'The connection was lost; the server may be gone.' : 'Cancelled.', sending === request);
      }
      showState();
    };
    request.send(body);
  });
  $('cancel').addEventListener('click', () => {
    const request = sending;
    sending = undefined;
    request.abort();
  });
  $('model').addEventListener('change', choose);
  $('file').addEventListener('change', showCommand);
  $('params').addEventListener('input', showCommand);
  choose();
}
`;
