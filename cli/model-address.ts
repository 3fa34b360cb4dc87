import { ClaraError, showValue } from '../base/errors';
import { MAX_MODEL_VERSION } from '../federation/model-name';
import { wholeNumber } from './whole-number';

/** `NAME` or `NAME:VERSION`. Runs have no colon in their ids, so the two can stand in one place. */
export interface ModelAddress {
  readonly model: string;
  readonly version?: number;
}

/** @throws ClaraError `invalid-input` when the version is no number */
export function parseModelAddress(text: string): ModelAddress {
  const colon = text.indexOf(':');
  if (colon < 0) return { model: text };
  const version = wholeNumber('the version', text.slice(colon + 1), 1, MAX_MODEL_VERSION);
  return { model: text.slice(0, colon), version };
}

/** As {@link parseModelAddress}, where a version must be named. */
export function parseModelVersion(text: string): Required<ModelAddress> {
  const { model, version } = parseModelAddress(text);
  if (version !== undefined) return { model, version };
  throw new ClaraError('invalid-input', `${showValue(text)} names no version; write NAME:VERSION, such as spleen:3`);
}
