import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ImageName } from '../../images/contents';
import type { ProgramRun } from '../engine/run-program';
import { containers, one } from '../stacks/plans';
import { freePort } from './free-port';
import { Program, type ProgramEnd } from './program';

/** A container as a stack's plan has it. */
interface Definition {
  readonly name: string;
  readonly image: string;
  readonly entryPoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: readonly { readonly name: string; readonly value: string }[];
  readonly mountPoints: readonly { readonly sourceVolume: string; readonly containerPath: string }[];
  readonly healthCheck?: { readonly command: readonly string[] };
}

interface TaskDefinition {
  readonly requiresCompatibilities: readonly string[];
  readonly volumes: readonly {
    readonly name: string;
    readonly efsVolumeConfiguration?: { readonly authorizationConfig: { readonly accessPointId: string } };
  }[];
}

export interface StartedContainer {
  readonly program: Program;
  /** Port on this machine that stands for one of the container. */
  readonly port: (containerPort: number) => number;
  /** Runs its health check, as ECS does. */
  readonly health: () => Promise<ProgramEnd>;
  /** Runs something in it, with paths of the container, as ECS Exec does. */
  readonly exec: (...args: readonly string[]) => Promise<ProgramEnd>;
}

const SCRIPT = path.resolve(__dirname, '../../images/build.sh');
/** Some user who may write nothing but the volumes. */
const USER = 10_001;
/** Inside every container: two on this machine need two ports for it. */
const LOOPBACK_PORTS = [9464];

/**
 * Runs containers of task definitions as processes of this machine, from the trees of their images: entry point, command and
 * environment as the plan has them and nothing else, except that paths of volumes, ports and host names are replaced by some
 * of this machine. Where this process may, as a user that can write to the volumes alone.
 */
export class ContainerHost {
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'clara-containers-'));
  readonly #volumes = new Map<string, string>();
  readonly #ports = new Map<number, number>();
  readonly #trees = new Map<ImageName, string>();
  readonly #programs: Program[] = [];
  readonly #user = process.getuid?.() === 0 ? USER : undefined;

  readonly #standIns = new Map<string, string>();

  /** @param aws variables by which a task finds AWS, beside its region, which ECS sets on Fargate alone */
  constructor(readonly aws: Readonly<Record<string, string>>) {
    chmodSync(this.#folder, 0o755);
  }

  /** From now on `here` stands for a name that the plan has, of a host or a resource. */
  standIn(planned: string, here: string): void {
    this.#standIns.set(planned, here);
  }

  /** What a command that a stack answers reads on this machine. */
  text(planned: string): string {
    return [...this.#standIns].reduce((text, [name, here]) => text.replaceAll(name, here), planned);
  }

  /** The tree of an image, made by the script that the Dockerfile calls, in an empty folder. */
  tree(image: ImageName): string {
    const known = this.#trees.get(image);
    if (known !== undefined) return known;
    const tree = path.join(this.#folder, 'images', image, 'tree');
    mkdirSync(tree, { recursive: true });
    const { status, stderr } = spawnSync(SCRIPT, ['tree', image, tree], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    symlinkSync(path.join(tree, 'bin/clara-fed'), path.join(tree, '..', 'clara-fed'));
    this.#trees.set(image, tree);
    return tree;
  }

  async start(run: ProgramRun, definition: string, name: string, image: ImageName): Promise<StartedContainer> {
    const task = one(run, 'aws:ecs/taskDefinition:TaskDefinition', definition).inputs as unknown as TaskDefinition;
    const all = containers(run, definition) as unknown as Definition[];
    const container = all.find((other) => other.name === name);
    assert.ok(container, `${definition} has no container ${name}`);
    assert.ok(container.image.includes(`/${image}@sha256:`), `${name} runs ${container.image}`);
    const tree = this.tree(image);
    // Of all containers of the task: one writes for another, with paths that only that one has.
    const folders = new Map(
      all
        .flatMap(({ mountPoints }) => mountPoints)
        .map(({ sourceVolume, containerPath }) => [containerPath, this.#volume(task, definition, sourceVolume)]),
    );
    const here = await this.#translation(folders, container);
    const environment = {
      PATH: [path.dirname(tree), path.dirname(process.execPath), '/usr/bin', '/bin'].join(':'),
      ...this.aws,
      ...(task.requiresCompatibilities.includes('FARGATE') && { AWS_REGION: regionOf(container.image) }),
      ...Object.fromEntries(container.environment.map((variable) => [variable.name, here.text(variable.value)])),
    };
    const launch = (words: readonly string[]) => {
      const [command, ...args] = words.map(here.text);
      const elsewhere = { command, cwd: folders.get('/tmp') ?? '/', user: this.#user };
      const program = new Program(args, { environment, elsewhere });
      this.#programs.push(program);
      return program;
    };
    // An empty list is the image's own entry point.
    const program = launch([
      ...(container.entryPoint.length > 0 ? container.entryPoint : ['clara-fed']),
      ...container.command,
    ]);
    return {
      program,
      port: here.port,
      health: () => {
        const [how, ...words] = container.healthCheck!.command;
        assert.equal(how, 'CMD');
        return launch(words).ended;
      },
      exec: (...args) => launch(['clara-fed', ...args]).ended,
    };
  }

  /** Every file of the trees with its size and time: a program in a read-only image changes none. */
  treeFiles(): readonly string[] {
    return [...this.#trees.values()].flatMap((tree) =>
      readdirSync(tree, { recursive: true, encoding: 'utf8' }).map((name) => {
        const { size, mtimeMs } = statSync(path.join(tree, name));
        return `${tree}/${name} ${size} ${mtimeMs}`;
      }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A room of a file system is one folder in whatever task; a scratch volume is of one task. */
  #volume({ volumes }: TaskDefinition, definition: string, name: string): string {
    const volume = volumes.find((other) => other.name === name);
    assert.ok(volume, `${definition} has no volume ${name}`);
    const key = volume.efsVolumeConfiguration?.authorizationConfig.accessPointId ?? `${definition}-${name}`;
    let folder = this.#volumes.get(key);
    if (folder === undefined) {
      folder = path.join(this.#folder, 'volumes', key);
      mkdirSync(folder, { recursive: true });
      if (this.#user !== undefined) chownSync(folder, this.#user, this.#user);
      this.#volumes.set(key, folder);
    }
    return folder;
  }

  async #translation(folders: ReadonlyMap<string, string>, { command }: Definition) {
    const own = new Map<number, number>();
    for (const port of LOOPBACK_PORTS) own.set(port, await freePort());
    for (const word of command) {
      const port = Number(/(?:^|:)(\d{4,5})$/.exec(word)?.[1] ?? 0);
      if (port > 0 && !own.has(port) && !this.#ports.has(port)) this.#ports.set(port, await freePort());
    }
    const ports = new Map([...this.#ports, ...own]);
    // In one pass: what stands for a path may begin with another path of the container.
    const here = new Map([
      ...folders,
      ...this.#standIns,
      ...[...ports].map(([from, to]) => [`${from}`, `${to}`] as const),
    ]);
    const planned = new RegExp(
      [
        ...[...folders.keys()].map((folder) => `(?<![\\w./-])${folder}(?=$|[/"])`),
        ...[...this.#standIns.keys()].map((name) => name.replaceAll('.', '\\.')),
        ...[...ports.keys()].map((port) => `(?<=^|[\\w.]:)${port}\\b`),
      ].join('|'),
      'g',
    );
    return {
      text: (text: string) => text.replace(planned, (found) => here.get(found)!),
      port: (port: number) => ports.get(port)!,
    };
  }
}

function regionOf(image: string): string {
  return /\.ecr\.([a-z0-9-]+)\./.exec(image)![1];
}
