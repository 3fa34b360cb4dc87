import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { installationStep, reportInstallation, TOOL_CACHE } from './tool-cache';

/**
 * `npm run s3-servers`: installs the S3 servers that the tests of the store start, each into a folder of its own version, so
 * that nothing is installed twice. Without one its tests are skipped, with the reason printed; with CI=true that is a failure.
 */

interface S3ServerInstall {
  readonly name: string;
  readonly program: string;
  /** What this machine must have. */
  readonly needs: string;
  readonly isInstalled: () => boolean;
  readonly install: () => void;
}

const VERSITYGW = path.join(TOOL_CACHE, 'versitygw-1.8.0');
const MINISTACK = path.join(TOOL_CACHE, 'ministack-1.5.33');
const COMPLETE = path.join(MINISTACK, '.complete');

export const S3_SERVERS = {
  versitygw: {
    name: 'versitygw 1.8.0',
    program: path.join(VERSITYGW, 'versitygw'),
    needs: 'Go 1.24 or newer',
    isInstalled: () => existsSync(path.join(VERSITYGW, 'versitygw')),
    install: () => {
      const fresh = `${VERSITYGW}.${process.pid}`;
      try {
        const module = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0';
        const environment = { GOBIN: fresh, CGO_ENABLED: '0' };
        installationStep('go', ['install', '-trimpath', '-ldflags=-s -w', module], { environment });
        renameSync(fresh, VERSITYGW);
      } finally {
        rmSync(fresh, { recursive: true, force: true });
      }
    },
  },
  ministack: {
    name: 'MiniStack 1.5.33',
    program: path.join(MINISTACK, 'bin', 'ministack'),
    needs: 'Python 3.10 or newer with venv',
    isInstalled: () => existsSync(COMPLETE),
    install: () => {
      // A virtual environment cannot be moved, so a mark tells a whole one.
      rmSync(MINISTACK, { recursive: true, force: true });
      installationStep('python3', ['-m', 'venv', MINISTACK]);
      const requirements = path.join(__dirname, 'ministack-requirements.txt');
      installationStep(path.join(MINISTACK, 'bin', 'pip'), [
        'install',
        '--quiet',
        '--disable-pip-version-check',
        '-r',
        requirements,
      ]);
      writeFileSync(COMPLETE, '');
    },
  },
} as const satisfies Record<string, S3ServerInstall>;

export type S3ServerName = keyof typeof S3_SERVERS;

function main(): void {
  mkdirSync(TOOL_CACHE, { recursive: true });
  for (const { name, needs, isInstalled, install } of Object.values(S3_SERVERS)) {
    reportInstallation(name, needs, () => {
      if (!isInstalled()) install();
    });
  }
}

if (require.main === module) main();
