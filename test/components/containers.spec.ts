import assert from 'node:assert/strict';
import fc from 'fast-check';
import { aiaaCommand } from '../../cli/commands/aiaa';
import { coordinatorCommand } from '../../cli/commands/coordinator';
import { siteCommand } from '../../cli/commands/site';
import { annotationProgram } from '../../components/containers/annotation-program';
import {
  type Container,
  containerDefinition,
  containerDefinitions,
} from '../../components/containers/container-definition';
import {
  COORDINATOR_PORTS,
  coordinatorAddresses,
  coordinatorProgram,
} from '../../components/containers/coordinator-program';
import { repositoryArn } from '../../components/containers/image';
import { agentConfiguration } from '../../components/containers/site-configuration';
import {
  agentProgram,
  configurationWriter,
  mmarFolder,
  preflightProgram,
  prepareProgram,
} from '../../components/containers/site-programs';
import { checkSiteConfiguration } from '../../fl-site/configuration';

const CONTAINER: Container = {
  name: 'aiaa',
  image: 'image',
  command: ['start'],
  environment: { B: '2', A: '1' },
  log: { group: 'g', region: 'r' },
  memory: 1024,
};

describe('container definitions', () => {
  it('are the same text however their maps were written down', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[A-Z]{1,6}$/), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(names, fc.func(fc.integer()), (keys, order) => {
        const shuffled = [...keys].sort((a, b) => order(a) - order(b));
        const map = (list: readonly string[]) => Object.fromEntries(list.map((key) => [key, `value of ${key}`]));
        const text = (list: readonly string[]) =>
          containerDefinitions([{ ...CONTAINER, environment: map(list), mounts: map(list) }]);
        assert.equal(text(shuffled), text(keys));
      }),
    );
  });

  it('write out every list that ECS fills in, and no null', () => {
    const definition = containerDefinition(CONTAINER);
    for (const list of [
      'entryPoint',
      'secrets',
      'portMappings',
      'mountPoints',
      'volumesFrom',
      'systemControls',
      'dependsOn',
    ]) {
      assert.deepEqual(definition[list], [], list);
    }
    assert.ok(!containerDefinitions([CONTAINER]).includes('null'));
    assert.deepEqual(definition.environment, [
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
    ]);
  });

  it('ask for a GPU by number', () => {
    assert.deepEqual(containerDefinition({ ...CONTAINER, gpus: 2 }).resourceRequirements, [
      { type: 'GPU', value: '2' },
    ]);
  });
});

const DIGEST = `sha256:${'a'.repeat(64)}`;
const EVERYTHING = {
  sha256: DIGEST,
  heldOut: 9,
  seed: 3,
  gunzip: true,
  mmar: { from: 'mmars/spleen.zip', sha256: DIGEST, folder: 'spleen' },
  model: { name: 'clara_ct_seg_spleen', from: 'spleen.onnx', sha256: DIGEST },
};

describe('programs of containers', () => {
  const SECRET = 'arn:aws:secretsmanager:eu-west-2:111122223333:secret:one-a1B2c3';
  const COORDINATOR = coordinatorProgram({
    name: 'b',
    federation: 'spleen',
    hostNames: ['fl.example.org'],
    store: 's3://bucket/coordinator',
    storeKeyArn: 'arn:aws:kms:eu-west-2:111122223333:key/1',
    authoritySecretArn: SECRET,
    operatorSecretArn: SECRET,
  });

  for (const [name, words, commands] of [
    ['annotation server', annotationProgram(SECRET, '10.20.0.0/16').command, aiaaCommand()],
    ['coordinator', COORDINATOR.command, coordinatorCommand()],
    ['agent', agentProgram(SECRET).command, siteCommand()],
    ['preflight', preflightProgram().command, siteCommand()],
    ['bringing of datasets', prepareProgram('bucket', 'Task09_Spleen').command, siteCommand()],
    ['bringing of everything', prepareProgram('bucket', 'Task09_Spleen', EVERYTHING).command, siteCommand()],
  ] as const) {
    it(`say nothing that the ${name} does not know`, () => {
      assert.equal(words[0], commands.name());
      const verb = commands.commands.find((command) => command.name() === words[1])!;
      assert.ok(verb, words[1]);
      const given = words.filter((word) => word.startsWith('--'));
      for (const option of given) {
        assert.ok(
          verb.options.some(({ long }) => long === option),
          `${verb.name()} has no ${option}`,
        );
      }
      const required = verb.options.filter(({ mandatory, envVar }) => mandatory && envVar === undefined);
      for (const { long } of required) assert.ok(given.includes(long!), `${verb.name()} needs ${long}`);
    });
  }

  it('bring what the configuration of the site says, to where its agent and its trainer look for it', () => {
    const words = prepareProgram('bucket', 'Task09_Spleen', EVERYTHING).command;
    const said = (option: string) => words[words.indexOf(option) + 1];
    assert.deepEqual(
      [
        '--dataset',
        '--dataset-sha256',
        '--held-out',
        '--seed',
        '--mmar',
        '--mmar-into',
        '--model',
        '--model-name',
        '--annotation',
      ].map(said),
      [
        's3://bucket/Task09_Spleen.tar',
        DIGEST,
        '9',
        '3',
        's3://bucket/mmars/spleen.zip',
        mmarFolder('spleen'),
        's3://bucket/spleen.onnx',
        'clara_ct_seg_spleen',
        '/aiaa',
      ],
    );
    assert.ok(words.includes('--gunzip'));
    const plain = prepareProgram('bucket', 'Task09_Spleen').command;
    assert.deepEqual(
      plain.filter((word) => word.startsWith('--')),
      ['--dataset', '--into', '--json'],
    );
  });

  it('are told where a secret is, and never get one in a variable', () => {
    for (const { command, environment } of [
      annotationProgram(SECRET, '10.20.0.0/16'),
      agentProgram(SECRET),
      COORDINATOR,
    ]) {
      assert.ok(command.includes(SECRET));
      assert.deepEqual(Object.keys(environment).sort(), ['HOME', 'NODE_ENV']);
    }
  });

  it('listen on ports that the coordinators of a federation do not share', () => {
    assert.deepEqual(COORDINATOR_PORTS, [8443, 8444, 9443, 9444]);
    assert.deepEqual(coordinatorAddresses('fl.example.org'), ['fl.example.org:8443', 'fl.example.org:9443']);
    assert.deepEqual(COORDINATOR.ports, [9443, 9444]);
  });

  it('write a configuration whole, where the agent reads it', () => {
    const { environment, command, mounts } = configurationWriter();
    assert.equal(environment.CONFIGURATION_FILE, agentProgram(SECRET).command[3]);
    assert.ok(environment.CONFIGURATION_FILE.startsWith(`${mounts.agent}/`));
    assert.match(command[1], /renameSync/);
  });
});

describe('configuration of a site, as the infrastructure writes it', () => {
  it('is accepted by the agent', () => {
    const configuration = agentConfiguration({
      siteId: 'st-marys',
      coordinators: coordinatorAddresses('fl.example.org'),
      trainer: { name: 'reference', adapter: 'reference' },
      dataset: 'Task09_Spleen',
      settings: { limits: { minimumCohort: 3 }, policy: { approve: 'person' } },
    });
    const parsed = checkSiteConfiguration(configuration, '/');
    assert.equal(parsed.dataset.path, '/training/datasets/Task09_Spleen');
    assert.equal(parsed.workspace, '/training/workspace');
    assert.equal(parsed.credentials, '/agent/credentials');
    assert.equal(parsed.limits.minimumCohort, 3);
  });
});

describe('images', () => {
  it('are in a repository of their account and region', () => {
    assert.equal(
      repositoryArn(`111122223333.dkr.ecr.eu-west-2.amazonaws.com/clara-federation/dev/aiaa@${DIGEST}`, 'aws'),
      'arn:aws:ecr:eu-west-2:111122223333:repository/clara-federation/dev/aiaa',
    );
  });

  for (const image of [
    'aiaa:latest',
    `nvcr.io/nvidia/clara-train-sdk@${DIGEST}`,
    '111122223333.dkr.ecr.eu-west-2.amazonaws.com/aiaa:v1',
  ]) {
    it(`are refused without a digest or outside the mirror: ${image.slice(0, 50)}`, () => {
      assert.throws(() => repositoryArn(image, 'aws'), /must be an image of the mirror by digest/);
    });
  }
});
