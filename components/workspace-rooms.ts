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

/**
 * The rooms of the two coordinators: the authority is of both, a workspace of one alone. One user, because both read the same
 * private keys.
 */
export const COORDINATOR_ROOMS = {
  trust: { path: '/trust', uid: 10010, gid: 10010, permissions: '0700' },
  a: { path: '/coordinator-a', uid: 10010, gid: 10010, permissions: '0700' },
  b: { path: '/coordinator-b', uid: 10010, gid: 10010, permissions: '0700' },
} as const satisfies Readonly<Record<string, WorkspaceRoom>>;
