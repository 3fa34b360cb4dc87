import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { installationStep, reportInstallation, TOOL_CACHE } from '../tool-cache';

/**
 * `npm run pulumi-cli`: the Pulumi CLI for the tests in `test/engine`, built from its Go modules at the versions that go.mod
 * and go.sum here pin, and beside it a language host of our own: the official one cannot be had as a module that builds alone.
 * The first build takes minutes and some 3 GB of Go's caches. People who deploy use the official CLI, and so do these tests
 * when there is no build but a `pulumi` on the PATH.
 */

const PACKAGE = 'github.com/pulumi/pulumi/pkg/v3';
const VERSION = versionIn(readFileSync(path.join(__dirname, 'go.mod'), 'utf8'));
const BIN = path.join(TOOL_CACHE, `pulumi-${VERSION}`);
const PULUMI = path.join(BIN, 'pulumi');

/** Folder to put on the PATH, when the CLI is installed. The language host in it is always that of this checkout. */
export function installedPulumi(): string | undefined {
  if (!existsSync(PULUMI)) return undefined;
  writeLanguageHost();
  return BIN;
}

function versionIn(goMod: string): string {
  const version = new RegExp(`^\\s*${PACKAGE} v(\\S+)`, 'm').exec(goMod)?.[1];
  if (version === undefined) throw new Error(`scripts/pulumi-cli/go.mod requires no ${PACKAGE}`);
  return version;
}

function buildCli(): void {
  const partial = `${PULUMI}.${process.pid}`;
  const version = `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${VERSION}`;
  try {
    installationStep(
      'go',
      ['build', '-trimpath', '-ldflags', `-s -w ${version}`, '-o', partial, `${PACKAGE}/cmd/pulumi`],
      {
        cwd: __dirname,
        environment: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' },
      },
    );
    renameSync(partial, PULUMI);
  } finally {
    rmSync(partial, { force: true });
  }
}

function writeLanguageHost(): void {
  const source = readFileSync(path.join(__dirname, 'language-host.ts'), 'utf8');
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true },
  });
  const partial = path.join(BIN, `.language-host.${process.pid}`);
  writeFileSync(partial, `#!/usr/bin/env node\n${outputText}`, { mode: 0o755 });
  renameSync(partial, path.join(BIN, 'pulumi-language-nodejs'));
}

function main(): void {
  mkdirSync(BIN, { recursive: true });
  reportInstallation(`Pulumi ${VERSION}`, 'Go 1.25 or newer', () => {
    if (!existsSync(PULUMI)) buildCli();
    writeLanguageHost();
  });
}

if (require.main === module) main();
