import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DockerfileParser, type Instruction } from 'dockerfile-ast';
import { ANNOTATION_HEALTH } from '../../components/containers/annotation-program';
import type { HealthCheck } from '../../components/containers/container-definition';
import { SERVICE_HEALTH } from '../../components/containers/program';
import { WORKSPACE_ROOMS } from '../../components/workspace-rooms';
import { IMAGE_NAMES, IMAGES, type ImageName } from '../../images/contents';
import { programFiles } from '../../images/program-files';
import { DIST, ROOT } from '../../scripts/compiled.cjs';

const FOLDER = path.join(ROOT, 'images');
const SCRIPT = path.join(FOLDER, 'build.sh');
const DIGEST = `sha256:${'0'.repeat(64)}`;

const HEALTH: Readonly<Record<ImageName, HealthCheck>> = {
  coordinator: SERVICE_HEALTH,
  agent: SERVICE_HEALTH,
  aiaa: ANNOTATION_HEALTH,
};
/** Whom the access points of the file system take the programs for; a coordinator has none. */
const USERS: Readonly<Record<ImageName, number>> = {
  coordinator: 10_010,
  agent: WORKSPACE_ROOMS.agent.uid,
  aiaa: WORKSPACE_ROOMS.aiaa.uid,
};

interface Stage {
  readonly name: string;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

describe('the Dockerfile', () => {
  const dockerfile = DockerfileParser.parse(readFileSync(path.join(FOLDER, 'Dockerfile'), 'utf8'));
  const stages = new Map<string, Stage>();
  for (const instruction of dockerfile.getInstructions()) {
    const words = instruction.getArguments().map((argument) => argument.getValue());
    if (instruction.getKeyword() === 'FROM') {
      stages.set(words[2], { name: words[2], base: words[0], instructions: [] });
    } else if (stages.size > 0) {
      ([...stages.values()].at(-1)!.instructions as Instruction[]).push(instruction);
    }
  }
  /** What a stage says after all that it begins with. */
  const said = (name: string, keyword: string): string[] => {
    const { base, instructions } = stages.get(name)!;
    const own = instructions.filter((instruction) => instruction.getKeyword() === keyword);
    return [
      ...(stages.has(base) ? said(base, keyword) : []),
      ...own.map((instruction) => instruction.getArgumentsContent()!),
    ];
  };

  it('has base images that only the build names, and the script refuses those without a digest', () => {
    const bases = [...stages.values()].map(({ base }) => base).filter((base) => !stages.has(base));
    assert.deepEqual(
      bases,
      ['BUILD_IMAGE', 'RUNTIME_IMAGE'].map((name) => `\${${name}}`),
    );
    const [first, second] = dockerfile.getInitialARGs();
    assert.deepEqual(
      [first, second].map((arg) => arg.getArgumentsContent()),
      ['BUILD_IMAGE', 'RUNTIME_IMAGE'],
    );
    assert.ok(said('program', 'RUN')[0].startsWith('./images/build.sh bases && '));
    // Instructions see an argument from where their own stage names it.
    assert.deepEqual(said('program', 'ARG'), ['BUILD_IMAGE', 'RUNTIME_IMAGE']);

    const judged = (BUILD_IMAGE: string, RUNTIME_IMAGE: string) =>
      spawnSync(SCRIPT, ['bases'], { env: { PATH: process.env.PATH, BUILD_IMAGE, RUNTIME_IMAGE }, encoding: 'utf8' });
    assert.equal(judged(`node@${DIGEST}`, `registry:5000/node:20-slim@${DIGEST}`).status, 0);
    for (const base of ['', 'node:20-slim', `node@${DIGEST.slice(0, -1)}`, `node@${DIGEST}0`]) {
      for (const { status, stderr } of [judged(base, `node@${DIGEST}`), judged(`node@${DIGEST}`, base)]) {
        assert.equal(status, 64);
        assert.match(stderr, /must be named by digest/);
      }
    }
  });

  it('does nothing by itself but call the script, and make its program the entry point', () => {
    for (const name of stages.keys()) {
      for (const run of said(name, 'RUN')) {
        assert.match(
          run,
          /^(\.\/images\/build\.sh [a-z ]+( \/tree)?( && )?)+$|^ln -s \/opt\/clara-federation\/bin\/clara-fed \/usr\/local\/bin\/clara-fed$/,
        );
      }
    }
    for (const image of IMAGE_NAMES) {
      assert.deepEqual(said(`${image}-tree`, 'RUN').at(-1), `./images/build.sh tree ${image} /tree`);
      const copies = stages.get(image)!.instructions.filter((instruction) => instruction.getKeyword() === 'COPY');
      assert.deepEqual(
        copies.map((copy) => copy.getTextContent()),
        [`COPY --from=${image}-tree /tree /opt/clara-federation`],
      );
      assert.deepEqual(said(image, 'ENTRYPOINT'), ['["clara-fed"]']);
    }
  });

  for (const image of IMAGE_NAMES) {
    it(`runs ${image} as the user of its files, never as root, with a scratch folder that a volume takes over`, () => {
      const last = stages
        .get(image)!
        .instructions.filter((instruction) => instruction.getKeyword() === 'USER')
        .at(-1);
      assert.equal(last?.getArgumentsContent(), `${USERS[image]}:${USERS[image]}`);
      assert.deepEqual(said(image, 'VOLUME'), ['/tmp']);
      assert.ok(said(image, 'ENV').join(' ').includes('HOME=/tmp'));
    });

    it(`asks ${image} for its health as ECS does`, () => {
      const { command, interval, timeout, retries, startPeriod } = HEALTH[image];
      const [check, ...more] = dockerfile
        .getHEALTHCHECKs()
        .filter((found) =>
          stages.get(image)!.instructions.some((own) => own.getRange().start.line === found.getRange().start.line),
        );
      assert.equal(more.length, 0);
      assert.deepEqual(Object.fromEntries(check.getFlags().map((flag) => [flag.getName(), flag.getValue()])), {
        interval: `${interval}s`,
        timeout: `${timeout}s`,
        retries: `${retries}`,
        'start-period': `${startPeriod}s`,
      });
      const [how, ...words] = command;
      assert.equal(how, 'CMD');
      assert.ok(check.getTextContent().endsWith(` CMD ${JSON.stringify(words).replaceAll(',', ', ')}`));
    });
  }
});

describe('what an image holds', () => {
  it('is what its commands need, without the code of others', () => {
    const rooms = (commands: readonly string[]) =>
      [...new Set([...programFiles(DIST, commands).files].map((file) => file.split(path.sep)[0]))].sort();
    assert.deepEqual(rooms(['coordinator', 'health']), ['base', 'cli', 'federation', 'fl-coordinator']);
    const agent = programFiles(DIST, ['site', 'health']);
    assert.ok(agent.packages.has('@aws-sdk/client-ecs'), 'what is loaded only when it is needed');
    assert.ok(![...agent.packages].some((name) => name.startsWith('@pulumi/')));
    assert.ok(agent.files.has('training/trainer/main.js'), 'what is started as a program');
    assert.ok(agent.files.has('training/engine/kernels.wasm'), 'what is read beside the code');
    assert.ok(!agent.files.has('cli/commands/fleet.js'));
  });

  it('comes from folders that the builder is given, and from no others', () => {
    const given = readFileSync(path.join(ROOT, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'));
    for (const name of given) assert.ok(existsSync(path.join(ROOT, name.slice(1))), name);
    const needed = IMAGE_NAMES.flatMap((image) => [...programFiles(DIST, IMAGES[image]).files]);
    for (const room of [
      ...new Set(needed.map((file) => file.split('/')[0]!)),
      'bin',
      'images',
      'scripts',
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'tsconfig.build.json',
      '.npmrc',
      'LICENSE',
    ]) {
      assert.ok(given.includes(`!${room}`), room);
    }
    assert.ok(readdirSync(FOLDER).includes('build.sh'));
  });
});
