import { existsSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { installServers, pythonServer, type ServerInstall } from './server-install';
import { installationStep, TOOL_CACHE } from './tool-cache';

/** `npm run s3-servers`: installs the S3 servers that the tests of the store start. */

const VERSITYGW = path.join(TOOL_CACHE, 'versitygw-1.8.0');

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
  ministack: pythonServer('MiniStack 1.5.33', 'ministack-1.5.33', 'ministack', 'ministack-requirements.txt'),
} as const satisfies Record<string, ServerInstall>;

export type S3ServerName = keyof typeof S3_SERVERS;

if (require.main === module) installServers(Object.values(S3_SERVERS));
