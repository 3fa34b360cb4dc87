/** What both ends of the wire say alike and the .proto cannot: the version in Hello, and names of metadata. */

export const PROTOCOL = 1;
/** Request metadata of an upload: the task that it answers. */
export const TASK_METADATA = 'clara-task';

/**
 * A site forgets a run in which nothing has happened for so long, whatever it was told: the coordinator need not tell it the
 * end of older runs. Milliseconds.
 */
export const RUN_FORGOTTEN_MILLIS = 60 * 86400e3;

/** The name of the server's control variate among the models of a task. */
export const CONTROLS = 'controls';
/** How the names of models begin that a site trained alone; the site's id follows. */
export const ALONE_MODEL = 'site:';
