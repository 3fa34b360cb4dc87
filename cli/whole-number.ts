import { ClaraError, showValue } from '../base/errors';

/** @throws ClaraError `invalid-input`, naming the option and its bounds */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= least && value <= most) return value;
  throw new ClaraError('invalid-input', `${option} ${showValue(text)} must be a whole number from ${least} to ${most}`);
}
