// Stands for `clara-fed aiaa publish`: writes down its arguments, and ends as the file `publisher.json` in its workspace says.
const fs = require('node:fs');
const path = require('node:path');

const args = process.argv.slice(2);
const of = (option) => args[args.indexOf(option) + 1];
const workspace = of('--workspace');
const log = path.join(workspace, 'published.jsonl');
const facts = { name: of('--name'), version: of('--model-version'), sha256: of('--sha256'), args };
fs.appendFileSync(log, `${JSON.stringify({ ...facts, bytes: fs.statSync(of('--model')).size })}\n`);
const script = path.join(workspace, 'publisher.json');
const failures = fs.existsSync(script) ? JSON.parse(fs.readFileSync(script, 'utf8')) : [];
const [failure, ...rest] = failures;
if (failure) {
  fs.writeFileSync(script, JSON.stringify(rest));
  process.stderr.write(`${JSON.stringify({ event: 'error', ...failure })}\n`);
  process.exitCode = 65;
} else {
  process.stdout.write(`${JSON.stringify({ event: 'published', entry: { version: facts.version } })}\n`);
}
