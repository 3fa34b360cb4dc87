// A trainer after docs/trainer-contract.md, written without any of the platform's code, that can also misbehave.
// usage: node scripted-trainer.cjs MODE FOLDER
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const [mode, folder] = process.argv.slice(2);
const at = (...names) => path.join(folder, ...names);

// --- safetensors, by hand ------------------------------------------------------------------------------------------

function encodeModel(tensors, metadata) {
  const header = metadata ? { __metadata__: metadata } : {};
  const parts = [];
  let end = 0;
  for (const [name, { shape, values, dtype = 'F32' }] of Object.entries(tensors)) {
    const bytes = dtype === 'I64' ? Buffer.alloc(8 * values.length) : Buffer.alloc(4 * values.length);
    values.forEach((value, i) => {
      if (dtype === 'I64') bytes.writeBigInt64LE(BigInt(value), 8 * i);
      else bytes.writeFloatLE(value, 4 * i);
    });
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    parts.push(bytes);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...parts]);
}

function decodeModel(bytes) {
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.subarray(8, 8 + length).toString());
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    const [begin, end] = offsets;
    const data = bytes.subarray(8 + length + begin, 8 + length + end);
    const values = [];
    for (let i = 0; i < data.length; i += dtype === 'I64' ? 8 : 4) {
      values.push(dtype === 'I64' ? Number(data.readBigInt64LE(i)) : data.readFloatLE(i));
    }
    tensors[name] = { dtype, shape, values };
  }
  return tensors;
}

// --- the work ------------------------------------------------------------------------------------------------------

const writeWhole = (file, contents) => {
  fs.writeFileSync(`${file}.tmp`, contents);
  fs.renameSync(`${file}.tmp`, file);
};
const say = (line) => fs.writeSync(1, `${JSON.stringify(line)}\n`);
const fail = (code, sentence) => {
  fs.writeSync(2, `${sentence}\n`);
  process.exit(code);
};
const readTask = () => {
  try {
    if (mode === 'accepts-anything' && !fs.readFileSync(at('task.json'), 'utf8').includes('kind')) process.exit(0);
    const task = JSON.parse(fs.readFileSync(at('task.json'), 'utf8'));
    if (task.protocol !== 1) fail(64, `protocol ${task.protocol} is not spoken here`);
    return task;
  } catch (error) {
    return fail(64, `cannot read task.json: ${error.message}`);
  }
};
const readModel = (name) => {
  try {
    return decodeModel(fs.readFileSync(at(name)));
  } catch (error) {
    return fail(64, `cannot read ${name}: ${error.message}`);
  }
};
const numberFrom = (seed, index) => Math.fround(Math.sin(seed * 7.3 + index * 1.7));
const pause = (millis) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis);
/** Stands still, once the file `reached` says so, until the test makes the file `open`. */
const waitAtGate = () => {
  const gate = process.env.GATE_FOLDER;
  if (!gate || !fs.existsSync(gate)) return;
  fs.appendFileSync(path.join(gate, 'reached'), `${process.pid}\n`);
  while (!fs.existsSync(path.join(gate, 'open'))) pause(5);
};

function initialise(task) {
  const values = (count, offset) => Array.from({ length: count }, (_, i) => numberFrom(task.seed, offset + i));
  const anew = {
    'enc.w': { shape: [2, 3], values: values(6, 0) },
    'enc.b': { shape: [2], values: values(2, 6) },
    'bn.count': { shape: [], dtype: 'I64', values: [0] },
  };
  if (!task.reinitialise || mode === 'ignores-rules') return anew;
  const kept = Object.entries(readModel(task.model.input)).filter(([name]) => !matches(name, task.reinitialise));
  return { ...anew, ...Object.fromEntries(kept) };
}

function matches(name, patterns = []) {
  return patterns.some((text) => new RegExp(text, 'u').test(name));
}

/** SCAFFOLD with made-up gradients: writes the new control, and answers with c - c_i of this task. */
function controlsFor(task, start, steps) {
  const { input, output } = task.rule.controls;
  const kept = at('state', 'control.json');
  // With the task that it came from, so that a killed trainer does not take it for that of an earlier round.
  const states = fs.existsSync(kept) ? JSON.parse(fs.readFileSync(kept, 'utf8')) : [];
  const own = states.filter((state) => state.task !== task.task).at(-1)?.controls ?? {};
  const all = input ? readModel(input) : {};
  const controls = {};
  for (const [name, { shape, dtype, values }] of Object.entries(start)) {
    if (dtype === 'I64') continue;
    const gradients = values.map((_, i) => (mode === 'no-control' ? 0 : numberFrom(task.seed + steps, i)));
    controls[name] = { shape, values: gradients };
  }
  writeWhole(
    kept,
    JSON.stringify([...states.filter((state) => state.task !== task.task), { task: task.task, controls }]),
  );
  writeWhole(at(output), encodeModel(controls));
  if (mode === 'one-sided') return () => 0;
  return (name, i) => (all[name]?.values[i] ?? 0) - (own[name]?.values[i] ?? 0);
}

/** Steps are remembered in state/, so that a killed trainer goes on with the same numbers. */
function train(task) {
  if (mode === 'stubborn') process.on('SIGTERM', () => {});
  if (mode === 'changes-inputs') fs.writeFileSync(at('task.json'), JSON.stringify({ ...task, round: 9 }));
  const steps = task.parameters.steps ?? 4;
  const rule = task.rule ?? { kind: 'none' };
  if (mode !== 'ignores-rules' && !['none', 'fedprox', 'scaffold'].includes(rule.kind))
    fail(64, `the rule ${rule.kind} is not known`);
  const pull = mode !== 'ignores-rules' && rule.kind === 'fedprox' ? rule.mu : 0;
  const start = readModel(task.model.input);
  const correction = mode !== 'ignores-rules' && rule.kind === 'scaffold' ? controlsFor(task, start, steps) : () => 0;
  const checkpoint = at('state', 'checkpoint.json');
  let tensors = readModel(task.model.input);
  let first = 0;
  if (mode !== 'forgets-state' && fs.existsSync(checkpoint)) {
    const saved = JSON.parse(fs.readFileSync(checkpoint, 'utf8'));
    if (saved.task === task.task) ({ tensors, step: first } = saved);
    if (mode === 'resumes-wrong' && first > 0) first += 1;
  }
  for (let step = first; step < steps; step++) {
    for (const [name, { dtype, values }] of Object.entries(tensors)) {
      if (mode !== 'ignores-rules' && matches(name, task.frozen)) continue;
      for (let i = 0; i < values.length; i++) {
        if (dtype === 'I64') values[i] += 1;
        else {
          const noise = mode === 'unsteady' ? Math.random() : numberFrom(task.seed + step, i);
          values[i] = Math.fround(
            values[i] + 0.1 * (noise - pull * (values[i] - start[name].values[i]) - correction(name, i)),
          );
        }
      }
    }
    fs.appendFileSync(at('state', 'steps.log'), `${step}\n`);
    writeWhole(checkpoint, JSON.stringify({ task: task.task, step: step + 1, tensors }));
    if (mode === 'malformed-progress') say({ progress: 100 * step, epoch: 3 });
    say({ progress: (step + 1) / steps, step: step + 1, metrics: { loss: 1 / (step + 1) } });
    if (task.parameters.pauseMillis) pause(task.parameters.pauseMillis);
    if (step + 1 === Math.ceil(steps / 2)) waitAtGate();
  }
  return tensors;
}

function misbehaved(tensors) {
  if (mode === 'nan') tensors['enc.w'].values[4] = Number.NaN;
  if (mode === 'wrong-shape') tensors['enc.w'].shape = [3, 2];
  if (mode === 'missing-tensor') delete tensors['enc.b'];
  if (mode === 'unknown-tensor') tensors.extra = { shape: [1], values: [1] };
  if (mode === 'oversize') tensors.extra = { shape: [5_000_000], values: new Array(5_000_000).fill(0) };
  return tensors;
}

function work() {
  const task = readTask();
  if (mode === 'no-initialise' && task.kind === 'initialise') fail(64, 'first weights come from elsewhere');
  fs.mkdirSync(at('state'), { recursive: true });
  const report = { protocol: 1, samples: 7, steps: 0, metrics: {}, warnings: [] };
  if (task.kind === 'evaluate') {
    report.evaluations = task.models.map(({ name, file }) => {
      const values = Object.values(readModel(file)).flatMap((tensor) => tensor.values);
      return { model: name, metrics: { mean: values.reduce((sum, value) => sum + value, 0) / values.length } };
    });
    waitAtGate();
  } else {
    const tensors = task.kind === 'initialise' ? initialise(task) : misbehaved(train(task));
    const metadata = mode === 'with-metadata' ? { note: 'patient 17' } : undefined;
    const bytes = encodeModel(tensors, metadata);
    if (mode !== 'no-update') {
      const broken = mode === 'truncated' ? bytes.subarray(0, bytes.length - 3) : bytes;
      if (mode === 'update-is-link') fs.symlinkSync('/etc/hostname', at(task.model.output));
      else writeWhole(at(task.model.output), broken);
    }
    report.metrics = { loss: 0.25 };
    if (mode === 'many-metrics') for (let i = 0; i < 100; i++) report.metrics[`case-${i}`] = 1;
    report.steps = mode === 'counts-no-steps' ? 0 : (task.parameters.steps ?? 4);
  }
  if (mode === 'garbage-report') writeWhole(at('report.json'), '{"samples": "many"');
  else if (mode === 'wrong-report') writeWhole(at('report.json'), '{"protocol": 1, "samples": -3}');
  else if (mode !== 'no-report') writeWhole(at('report.json'), JSON.stringify(report));
  if (mode === 'writes-outside') fs.writeFileSync(path.join(folder, '..', 'escaped.txt'), 'x');
  if (mode === 'leaves-child') {
    const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
      stdio: 'inherit',
    });
    fs.writeFileSync(at('child.pid'), String(child.pid));
    child.unref();
    process.exit(0);
  }
}

/** How often this task was started before. */
function earlierStarts() {
  const file = at('starts.log');
  const earlier = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').length : 0;
  fs.appendFileSync(file, '.');
  return earlier;
}

const starts = earlierStarts();
switch (mode) {
  case 'exit-1':
    fail(1, 'the loss exploded at step 12');
    break;
  case 'exit-1-once':
    if (starts === 0) fail(1, 'a passing failure');
    else work();
    break;
  case 'exit-64':
    fail(64, 'parameters.patch must divide by 8');
    break;
  case 'try-again-twice':
    if (starts < 2) fail(75, 'no GPU is free');
    else work();
    break;
  case 'kills-itself':
    process.kill(process.pid, 'SIGKILL');
    break;
  case 'hang':
    say({ progress: 0.5 });
    setInterval(() => {}, 1000);
    break;
  case 'ignores-sigterm':
    process.on('SIGTERM', () => {});
    say({ progress: 0.5 });
    setInterval(() => {}, 1000);
    break;
  case 'garbage-stdout':
    for (let i = 0; i < 300; i++) fs.writeSync(1, `{"progress": "half"} ${i}\n{not json\n`);
    fs.writeSync(1, `${'x'.repeat(3_000_000)}\n`);
    fs.writeSync(1, Buffer.from([0xff, 0xfe, 0x0a, 0x00, 0x0a]));
    work();
    break;
  case 'fill-disk': {
    const file = fs.openSync(at('filler'), 'w');
    for (;;) fs.writeSync(file, Buffer.alloc(65536, 1));
  }
  case 'show-environment':
    writeWhole(at('environment.json'), JSON.stringify({ env: process.env, cwd: process.cwd(), argv: process.argv }));
    work();
    break;
  default:
    work();
}
