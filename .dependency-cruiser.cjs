/** The import rules of docs/architecture.md: which room may look into which. Checked by `npm run lint`. */
const rooms = {
  base: [],
  federation: ['base'],
  imaging: ['base'],
  annotation: ['base', 'imaging'],
  components: [],
  stacks: ['components'],
  fleet: ['base', 'components', 'stacks'],
  images: [],
  policies: ['components/star-reasons'],
  training: ['base', 'imaging', 'federation/tensors', 'federation/trainer-contract'],
  'fl-coordinator': ['base', 'federation'],
  'fl-site': ['base', 'federation', 'imaging'],
  aiaa: ['base', 'imaging', 'annotation', 'training/engine', 'federation/tensors', 'federation/trainer-contract'],
  simulation: ['base', 'federation', 'fl-coordinator', 'fl-site', 'training', 'imaging'],
  cli: ['base', 'federation', 'fl-coordinator', 'fl-site', 'aiaa', 'training', 'imaging', 'simulation', 'fleet'],
};
/** Rooms of the coordinator: each may look into those named, and `coordinator.ts`, `leader-term.ts`, `expected-updates.ts` and
 * `embedded-coordinator.ts` put them together. */
const coordinatorRooms = {
  storage: [],
  transport: [],
  trust: ['storage', 'transport'],
  leadership: ['storage'],
  aggregation: ['storage'],
  encodings: ['storage', 'aggregation'],
  runs: ['storage', 'aggregation', 'encodings'],
  registry: ['storage', 'runs'],
  upkeep: ['storage', 'aggregation', 'runs', 'registry', 'trust'],
  observe: ['runs', 'trust'],
  api: ['storage', 'runs', 'registry', 'upkeep'],
};
const all = [...Object.keys(rooms), 'test', 'bench', 'scripts'];

const roomRules = Object.entries(rooms).map(([room, allowed]) => ({
  name: `${room}-may-import-only-${allowed.length ? allowed.map((a) => a.replaceAll('/', '-')).join('-and-') : 'itself'}`,
  severity: 'error',
  from: { path: `^${room}/` },
  to: { path: `^(${all.join('|')})/`, pathNot: [`^${room}/`, ...allowed.map((a) => `^${a}(/|\\.ts$)`)] },
}));

const coordinatorRules = Object.entries(coordinatorRooms).map(([room, allowed]) => ({
  name: `coordinator-${room}-may-import-only-${allowed.length ? allowed.join('-and-') : 'itself'}`,
  severity: 'error',
  from: { path: `^fl-coordinator/${room}/` },
  to: {
    path: `^fl-coordinator/((${Object.keys(coordinatorRooms).join('|')})/|(coordinator|leader-term|expected-updates|embedded-coordinator)\\.ts$)`,
    pathNot: [room, ...allowed].map((other) => `^fl-coordinator/${other}/`),
  },
}));

module.exports = {
  forbidden: [
    ...roomRules,
    ...coordinatorRules,
    {
      name: 'the-engine-knows-no-trainer',
      comment: 'the annotation server uses the engine alone',
      severity: 'error',
      from: { path: '^training/engine/' },
      to: { path: '^(training/trainer/|federation/trainer-contract)' },
    },
    {
      name: 'tensors-know-no-federation',
      severity: 'error',
      from: { path: '^federation/tensors/' },
      to: { path: '^federation/', pathNot: '^federation/tensors/' },
    },
    {
      name: 'aws-service-by-service',
      comment: 'the entry of @pulumi/aws loads all services; components/aws.ts has those that are used',
      severity: 'error',
      from: { path: '^(components|stacks)/', pathNot: '^components/aws\\.ts$' },
      to: { path: 'node_modules/@pulumi/aws/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'one-way-to-files',
      comment: 'base/files.ts: small operations on files are most of a small round',
      severity: 'error',
      from: { path: '^(federation|fl-coordinator|fl-site)/' },
      to: { path: '^(node:)?fs/promises$' },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency-at-run-time',
      severity: 'error',
      from: { path: `^(${Object.keys(rooms).join('|')})/` },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: ['node_modules/@types/'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['^dist/', '\\.as\\.ts$'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default'] },
  },
};
