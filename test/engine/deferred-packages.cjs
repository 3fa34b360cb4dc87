// Loaded before a Pulumi program. The runtime requires a compiler, a package manager and tracing exporters at its start: two seconds
// of a processor, for closures and traces that no plan has. Here each of them is loaded by the first who reads anything of it.
const Module = require('node:module');

const DEFERRED = new Set([
  'typescript',
  '@npmcli/arborist',
  '@opentelemetry/exporter-zipkin',
  '@opentelemetry/instrumentation',
  '@opentelemetry/instrumentation-grpc',
  '@opentelemetry/resources',
  '@opentelemetry/sdk-trace-base',
  '@opentelemetry/sdk-trace-node',
]);

const load = Module._load;
const stand = new Map();

/** Stands for the exports of a package, which are loaded when they are asked for. */
function deferred(loadNow) {
  let loaded;
  const real = () => {
    loaded ??= loadNow();
    return loaded;
  };
  return new Proxy(
    {},
    {
      // Asked by every import, which copies all names unless the answer is yes. The runtime reads each by its name.
      get: (_, name) => (name === '__esModule' ? true : real()[name]),
      has: (_, name) => name in real(),
      ownKeys: () => Reflect.ownKeys(real()),
      getOwnPropertyDescriptor: (_, name) => {
        const found = Object.getOwnPropertyDescriptor(real(), name);
        return found && { ...found, configurable: true };
      },
    },
  );
}

Module._load = function (request, parent, isMain) {
  if (!DEFERRED.has(request) || !/[\\/]@pulumi[\\/]pulumi[\\/]/.test(parent?.filename ?? '')) {
    return load.call(this, request, parent, isMain);
  }
  const known = stand.get(request) ?? deferred(() => load.call(this, request, parent, false));
  stand.set(request, known);
  return known;
};
