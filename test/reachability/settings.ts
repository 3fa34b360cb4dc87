import { readProject, stackConfiguration } from '../../fleet/project-files';
import type { Settings } from './reach';

/** The configuration of a stack as values, which programs receive as text. */
export function settingsOf(root: string, stack: string): Settings {
  const { name, config } = readProject(root);
  return Object.fromEntries(
    Object.entries(stackConfiguration(root, stack)).flatMap(([key, text]) => {
      const own = key.startsWith(`${name}:`) ? key.slice(name.length + 1) : undefined;
      if (own === undefined) return [];
      const isText = (config[own]?.type ?? 'string') === 'string' && !/^[[{]/.test(text);
      return [[own, isText ? text : (JSON.parse(text) as unknown)] as const];
    }),
  );
}
