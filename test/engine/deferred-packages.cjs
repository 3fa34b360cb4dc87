// Loaded before a Pulumi program. The runtime requires a compiler, a package manager and tracing exporters at its start: two seconds
// of a processor, for closures and traces that no plan has. Here each of them is loaded by the first who reads anything of it. And the
// runtime keeps the stack of every promise, as text: places in the sources are looked up from the first error on.
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
const standIns = new Map();

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

/** In time for the runtime's own handlers, which write the stack: V8 makes its text when it is first read. */
function mapStacksOfErrors(loadNow) {
  process.once('uncaughtException', loadNow);
  process.once('unhandledRejection', loadNow);
}

Module._load = function (request, parent, isMain) {
  const loadNow = () => load.call(this, request, parent, isMain);
  if (!/[\\/]@pulumi[\\/]pulumi[\\/]/.test(parent?.filename ?? '')) return loadNow();
  if (request === 'source-map-support/register') return mapStacksOfErrors(loadNow);
  if (!DEFERRED.has(request)) return loadNow();
  const standIn = standIns.get(request) ?? deferred(loadNow);
  standIns.set(request, standIn);
  return standIn;
};
