import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { checkSiteConfiguration } from '../../fl-site/configuration';
import { documentedKeys, yamlBlocks } from '../support/documented-keys';

const PAGE = path.resolve(__dirname, '../../docs/site-configuration.md');
const ECS = {
  name: 'unet',
  adapter: 'ecs-task',
  ecs: { cluster: 'c', taskDefinition: 't', container: 'c', capacityProvider: 'p' },
};
const MMAR = { name: 'clara', adapter: 'mmar', mmar: { folder: '/m' } };
const SOURCES = ['configuration.ts', 'hours.ts', 'trainer-configuration.ts'].map((name) =>
  path.resolve(__dirname, '../../fl-site', name),
);

const MINIMAL = {
  id: 'st-marys',
  coordinator: 'localhost:8443',
  credentials: 'c',
  workspace: 'w',
  dataset: { kind: 'none' },
  trainer: { name: 'unet', adapter: 'process', command: ['train'] },
};

describe('docs/site-configuration.md', () => {
  const text = readFileSync(PAGE, 'utf8');
  const documented = documentedKeys(text);

  it('mentions every key of a parsed configuration', () => {
    const dataset = { kind: 'decathlon', path: 'd' };
    const trainer = { ...MINIMAL.trainer, threads: 2 };
    const parsed = checkSiteConfiguration({ ...MINIMAL, dataset, trainer }, '/');
    const keys = Object.entries(parsed).flatMap(([key, value]) =>
      typeof value === 'object' ? Object.keys(value).map((below) => `${key}.${below}`) : [key],
    );
    assert.ok(keys.length >= 18, keys.join(' '));
    assert.deepEqual(
      keys.filter((key) => !documented.has(key)),
      [],
    );
  });

  it('mentions every key that the source of the schema declares', () => {
    const declared = [
      ...SOURCES.map((file) => readFileSync(file, 'utf8'))
        .join('\n')
        .matchAll(/^ {2,6}(\w+): (?:z\b|\w+Schema|fileSystemPath|trainerName|words|ecsName|containerPath)/gm),
    ];
    const names = new Set(declared.map((match) => match[1]));
    const last = new Set([...documented.keys()].map((key) => key.split('.').at(-1)));
    assert.ok(
      names.has('taskTimeout') && names.has('threads') && names.has('capacityProvider') && names.has('timeZone'),
    );
    assert.deepEqual(
      [...names].filter(
        (name) =>
          !last.has(name) &&
          ![
            'dataset',
            'trainer',
            'limits',
            'policy',
            'statistics',
            'annotation',
            'hours',
            'network',
            'logs',
            'ecs',
            'mmar',
          ].includes(name),
      ),
      [],
    );
  });

  it('mentions no key that the schema does not know', () => {
    for (const key of documented.keys()) {
      if (key === 'dataset.path') continue;
      // A known key is refused for its value, an unknown one for its name. Adapters have keys of their own.
      const refusals = [MINIMAL.trainer, ECS, MMAR].map((trainer) => {
        const [last, ...outer] = key.split('.').reverse();
        const document: Record<string, unknown> = structuredClone({ ...MINIMAL, trainer });
        let inner = document;
        for (const name of outer.reverse()) {
          inner[name] ??= {};
          inner = inner[name] as Record<string, unknown>;
        }
        inner[last!] = null;
        try {
          checkSiteConfiguration(document, '/');
        } catch (error) {
          return (error as Error).message;
        }
        return assert.fail(`${key}: null must be refused`);
      });
      assert.ok(!refusals.every((message) => message.includes('is not known here')), key);
    }
  });

  it('gives the limits that hold when nothing is said', () => {
    const { limits, policy, statistics } = checkSiteConfiguration(MINIMAL, '/');
    assert.equal(statistics.noiseEpsilon, undefined);
    const GIB = 2 ** 30;
    const stated: Readonly<Record<string, readonly [text: string, value: number | string]>> = {
      'limits.maxRounds': ['1000', limits.maxRounds],
      'limits.minimumCohort': ['1', limits.minimumCohort],
      'limits.updateBytes': ['4GiB', `${limits.updateBytes / GIB}GiB`],
      'limits.modelBytes': ['4GiB', `${limits.modelBytes / GIB}GiB`],
      'limits.diskBytes': ['50GiB', `${limits.diskBytes / GIB}GiB`],
      'limits.taskTimeout': ['1d', `${limits.taskTimeout / 86400e3}d`],
      'policy.approve': ['`automatic`', `\`${policy.approve}\``],
      'policy.promotions': ['`person`', `\`${policy.promotions}\``],
      'statistics.allow': ['`false`', `\`${statistics.allow}\``],
      'statistics.minimumCount': ['5', statistics.minimumCount],
      'statistics.maximumBins': ['64', statistics.maximumBins],
    };
    for (const [key, [written, holds]] of Object.entries(stated)) {
      assert.equal(documented.get(key), written, key);
      assert.equal(String(holds), written, key);
    }
  });

  it('has examples that are configurations', () => {
    const [example, ecs, mmar, ...others] = yamlBlocks(text);
    assert.equal(others.length, 0);
    for (const trainer of [ecs, mmar]) checkSiteConfiguration({ ...MINIMAL, ...(parse(trainer!) as object) }, '/');
    const { limits } = checkSiteConfiguration(parse(example!), '/etc/clara-fed');
    assert.equal(limits.minimumCohort, 3);
  });
});
