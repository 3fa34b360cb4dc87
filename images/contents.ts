/**
 * The images of our programs, and the commands of `clara-fed` that each has: those that its containers run, and those that a
 * person types in a shell there. Everything else that an image holds follows from them; see `program-files.ts`.
 */
export const IMAGES = {
  coordinator: ['coordinator', 'health', 'sites', 'run', 'model', 'statistics', 'store'],
  // `aiaa publish` puts promoted models into the annotation server's workspace.
  agent: ['site', 'health', 'trainer', 'dataset', 'aiaa'],
  aiaa: ['aiaa', 'health', 'trainer'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type ImageName = keyof typeof IMAGES;
export const IMAGE_NAMES = Object.keys(IMAGES) as ImageName[];
