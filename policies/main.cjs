/**
 * What the engine loads. The SDK's own compiler checks the types of a pack and of all that it imports at each start, 9 seconds of
 * work that `npm run typecheck` has done; here sources are only translated.
 */
const { readFileSync } = require('node:fs');
const ts = require('typescript');

const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true };

require.extensions['.ts'] = (module, file) => {
  module._compile(ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions, fileName: file }).outputText, file);
};

require('./index.ts');
