import { mkdir, rm } from 'node:fs/promises';
import { DEFAULT_LIMITS } from '../aiaa/limits';
import { openIncoming } from '../aiaa/registry/intake/incoming-model';
import { openModel } from '../aiaa/registry/model-registry';
import { publishModel } from '../aiaa/registry/publish-model';
import { hasCode } from '../base/errors';
import type { PublishableModel, ServedModel } from '../fl-site/prepare/local-file';

/** Digest of the model that an annotation server serves under a name; undefined when it serves none. */
export async function servedDigest(workspace: string, name: string): Promise<string | undefined> {
  try {
    const { entry } = await openModel(workspace, name);
    return 'sha256' in entry ? entry.sha256 : undefined;
  } catch (error) {
    if (hasCode(error, 'not-found')) return undefined;
    throw error;
  }
}

/**
 * Has an annotation server serve what a preparation brought, as if an administrator had sent it.
 * @throws ClaraError `unsupported` for what is no model that it serves; `corrupt` when it does not segment
 */
export async function publishPrepared(
  workspace: string,
  name: string,
  { file: data, sha256, config, scratch }: PublishableModel,
  signal: AbortSignal,
): Promise<ServedModel> {
  // What a killed attempt unpacked.
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  const incoming = await openIncoming({ data, config, folder: scratch, maxBytes: DEFAULT_LIMITS.modelBytes });
  const model = { name, ...incoming, ...(incoming.file === data && { sha256 }) };
  const { entry } = await publishModel(workspace, model, { whenTaken: 'rename', signal });
  return { version: entry.version, sha256: entry.sha256 };
}
