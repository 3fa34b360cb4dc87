// Lets this process load our TypeScript sources, whatever folder it runs in. A source that has not changed since the last build is
// loaded in its compiled form, under its own name; the compiler is loaded for the first that has changed. Stack traces tell lines of
// the sources.
const fs = require('node:fs');
const path = require('node:path');
const { builtAt, compiledFormOf } = require('./compiled.cjs');

const built = builtAt();
let compileNow;

function load(module, file) {
  const compiled = file.includes('node_modules') ? undefined : compiledFormOf(file, built);
  if (compiled) return module._compile(withMapSeenFrom(file, compiled), file);
  compileNow ??= loadCompiler();
  return compileNow(module, file);
}

/** What was compiled. Its map lies beside it, not beside the source whose name it gets. */
function withMapSeenFrom(file, compiled) {
  const folder = path.relative(path.dirname(file), path.dirname(compiled)).split(path.sep).join('/');
  return fs.readFileSync(compiled, 'utf8').replace(/^(\/\/# sourceMappingURL=)(?=[^/]+$)/m, `$1${folder}/`);
}

function loadCompiler() {
  // ts-node hands what it has compiled to the loader that was there before it.
  delete require.extensions['.ts'];
  require('ts-node').register({ transpileOnly: true, project: path.resolve(__dirname, '..', 'tsconfig.json') });
  const compiler = require.extensions['.ts'];
  require.extensions['.ts'] = load;
  return compiler;
}

require.extensions['.ts'] = load;
process.setSourceMapsEnabled(true);
