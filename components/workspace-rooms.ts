/**
 * The rooms of a workspace: one folder and one POSIX user for each program of a site, entered through an access point
 * that imposes both. A program that needs two rooms mounts two access points.
 */
export interface WorkspaceRoom {
  /** Folder that the access point shows as `/`. */
  readonly path: string;
  /** User id of every file made through the access point, whatever user the container runs as. */
  readonly uid: number;
  readonly gid: number;
  /** Octal permissions of the folder when EFS makes it. */
  readonly permissions: string;
}

export const WORKSPACE_ROOMS = {
  aiaa: { path: '/aiaa', uid: 10001, gid: 10001, permissions: '0750' },
  training: { path: '/training', uid: 10002, gid: 10002, permissions: '0750' },
  agent: { path: '/agent', uid: 10003, gid: 10003, permissions: '0700' },
} as const satisfies Readonly<Record<string, WorkspaceRoom>>;
