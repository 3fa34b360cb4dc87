import { ClaraError, showValue } from '../../../base/errors';
import type { AnnotationContext } from '../context';

const DEFAULT_LINES = 300;

/** `GET /logs/`: the newest lines of the log, newest last. */
export function showLogs(c: AnnotationContext): Response {
  const lines = c.req.query('lines');
  if (lines !== undefined && !/^[1-9]\d{0,5}$/.test(lines)) {
    throw new ClaraError('invalid-input', `lines is ${showValue(lines)}; give a whole number from 1 on.`);
  }
  const found = c.var.services.recentLog.newest(lines === undefined ? DEFAULT_LINES : Number(lines));
  return c.text(found.map((line) => `${line}\n`).join(''), 200, { 'cache-control': 'no-store' });
}
