import { until } from './until';

/** What keeps a process of tests alive after them, or would be killed with it unseen: programs and servers that nobody has ended. */
const LASTING = new Set(['ProcessWrap', 'TCPServerWrap', 'PipeServerWrap']);

/** After all tests of a run, or of each spec where specs run beside each other. */
export const mochaHooks = {
  async afterAll(): Promise<void> {
    const left = (): string[] => process.getActiveResourcesInfo().filter((name) => LASTING.has(name));
    await until(() => left().length === 0, 'no program or server is left that a test has started').catch(() => {
      throw new Error(`tests have left these open: ${left().join(', ')}`);
    });
  },
};
