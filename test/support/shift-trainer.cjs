// A trainer whose arithmetic fits in one line, so that a test can compute the model of a whole run by itself
// (shift-model.ts). What it does wrong, and where it waits, is said by environment variables of the site:
//   MISTAKE  exit-1, hang, garbage, nan, wrong-shape or quota; made in `train` only
//   GATE     a folder: `train` leaves a file `reached` there and waits until there is a file `open`
// Parameters of the plan that a search may vary:
//   rate     models are judged by `score` as well: the best rate is 0.1, and more rounds are better (scoreOf)
//   mistake  as MISTAKE, at every site
const fs = require('node:fs');
const path = require('node:path');

const folder = process.argv.at(-1);
const task = JSON.parse(fs.readFileSync(path.join(folder, 'task.json'), 'utf8'));
const site = task.site.charCodeAt(0) - 'a'.charCodeAt(0);
const RUNNING_MEAN = 'bn.running_mean';

function place(name, bytes) {
  fs.writeFileSync(path.join(folder, `${name}.partial`), bytes);
  fs.renameSync(path.join(folder, `${name}.partial`), path.join(folder, name));
}

function fileOf(tensors) {
  const header = {};
  let position = 0;
  for (const [name, values] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape: [values.length], data_offsets: [position, position + values.length * 4] };
    position += values.length * 4;
  }
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, ...Object.values(tensors).map((values) => Buffer.from(values.buffer))]);
}

function pause() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
}

function waitAtGate(gate) {
  fs.appendFileSync(path.join(gate, 'reached'), `${process.pid}\n`);
  while (!fs.existsSync(path.join(gate, 'open'))) pause();
}

// The control variate of a file, or zeros: numbers in the order of the model's.
function controlsIn(file, count) {
  if (!fs.existsSync(file)) return new Float32Array(count);
  const bytes = fs.readFileSync(file);
  return Float32Array.from({ length: count }, (_, i) =>
    bytes.readFloatLE(8 + Number(bytes.readBigUInt64LE(0)) + i * 4),
  );
}

// What a site's control is after a round: made up, but another for each site, round and place.
const ownControl = (round, i) => (site + 1) * 0.25 + round * 0.5 + (i % 5) * 0.125;

function shifted() {
  const bytes = fs.readFileSync(path.join(folder, task.model.input));
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  const { rule } = task;
  const count = (bytes.length - begin) / 4;
  const kept = path.join(folder, 'state', 'control.safetensors');
  const all = rule ? controlsIn(path.join(folder, rule.controls.input ?? 'none'), count) : new Float32Array(count);
  const own = controlsIn(kept, count);
  if (rule) {
    const control = Float32Array.from({ length: count }, (_, i) => ownControl(task.round, i));
    const file = fileOf({ w: control.slice(0, count - 3), bias: control.slice(count - 3) });
    place(rule.controls.output, file);
    fs.writeFileSync(kept, file);
  }
  const step = (site + 1) * 0.125 + task.round * 0.0625;
  const isFrozen = frozenElements(bytes);
  for (let i = 0; begin + i * 4 < bytes.length; i++) {
    if (isFrozen(i)) continue;
    const corrected = step * (1 + (i % 3)) - 0.5 * (all[i] - own[i]);
    bytes.writeFloatLE(bytes.readFloatLE(begin + i * 4) + corrected, begin + i * 4);
  }
  return bytes;
}

// Tells elements of tensors that the task leaves alone.
function frozenElements(bytes) {
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
  const ranges = Object.entries(header)
    .filter(([name]) => (task.frozen ?? []).some((text) => new RegExp(text, 'u').test(name)))
    .map(([, { data_offsets }]) => data_offsets);
  return (i) => ranges.some(([from, to]) => i * 4 >= from && i * 4 < to);
}

// The input model, but `bias` anew: as many numbers as the plan's parameters say.
function withNewBias() {
  const bytes = fs.readFileSync(path.join(folder, task.model.input));
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  const w = JSON.parse(bytes.subarray(8, begin).toString()).w.data_offsets;
  const kept = new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin + w[0], bytes.byteOffset + begin + w[1]));
  if (process.env.MISTAKE === 'changes-kept') kept[0] += 1;
  const bias = Float32Array.from({ length: task.parameters.biases ?? 3 }, (_, i) => 7 + i);
  return fileOf({ w: kept, bias });
}

function train() {
  console.log(JSON.stringify({ progress: 0.5, step: 1, metrics: { loss: 1 / task.round } }));
  if (process.env.GATE) waitAtGate(process.env.GATE);
  switch (process.env.MISTAKE ?? task.parameters.mistake) {
    case 'exit-1':
      console.error('the disk of the trainer is on fire');
      process.exit(1);
      break;
    case 'hang':
      for (;;) pause();
    case 'garbage':
      place(task.model.output, Buffer.from('this is no model at all'));
      return;
    case 'nan': {
      const bytes = shifted();
      bytes.writeFloatLE(Number.NaN, bytes.length - 4);
      place(task.model.output, bytes);
      return;
    }
    case 'wrong-shape':
      place(task.model.output, fileOf({ w: new Float32Array(5), bias: new Float32Array(3) }));
      return;
    case 'quota':
      for (let i = 0; ; i++) {
        fs.writeFileSync(path.join(folder, 'state', `filler-${i % 64}`), Buffer.alloc(1 << 20, 1));
        pause();
      }
    default:
      place(task.model.output, shifted());
  }
}

if (task.kind === 'initialise' && task.reinitialise) place(task.model.output, withNewBias());
else if (task.kind === 'initialise') {
  const elements = task.parameters.elements ?? 1000;
  const w = Float32Array.from({ length: elements }, (_, i) => ((i % 13) - 6) / 4);
  // As statistics of batch normalisation would be: moved by training like all numbers, and told of in evaluations.
  const statistics = task.parameters.statistics ? { [RUNNING_MEAN]: new Float32Array(2) } : {};
  place(task.model.output, fileOf({ w, bias: new Float32Array([0.5, -1, 2]), ...statistics }));
} else if (task.kind === 'train') train();

// Another one at each site, so that a mean that does not weigh sites by their samples is told from one that does.
function scoreOf(rate) {
  const distance = Math.abs(Math.log10(rate) + 1);
  return 0.5 / (1 + distance) + 0.01 * task.round + 0.125 * site;
}

function runningMeanIn(file) {
  const bytes = fs.readFileSync(path.join(folder, file));
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  const tensor = JSON.parse(bytes.subarray(8, begin).toString())[RUNNING_MEAN];
  return tensor ? { mean: bytes.readFloatLE(begin + tensor.data_offsets[0]) } : {};
}

const samples = site * site + 1;
const metrics = { loss: 0.5 / (task.round + 1) };
const { rate } = task.parameters;
const judged = { dice: 0.25 * (site + 1), ...(rate === undefined ? {} : { score: scoreOf(rate) }) };
const evaluations = (task.models ?? []).map(({ name, file }) => ({
  model: name,
  metrics: { ...judged, ...runningMeanIn(file) },
}));
place('report.json', JSON.stringify({ protocol: 1, samples, steps: 1, metrics, evaluations }));
