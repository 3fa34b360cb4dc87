import { ClaraError } from '../../base/errors';
import type { NetworkSpec, ParameterSpec } from '../engine/architecture';

/**
 * The parameters whose names match one of a task's patterns.
 *
 * @param what the field of the task, for messages
 * @throws ClaraError invalid-input that lists every pattern that matches nothing
 */
export function parametersNamed(
  { parameters }: NetworkSpec,
  patterns: readonly string[],
  what: string,
): readonly ParameterSpec[] {
  const expressions = patterns.map((text) => expressionOf(text, what));
  const faults = expressions.flatMap((expression, index) =>
    parameters.some(({ name }) => expression.test(name))
      ? []
      : [{ path: `${what}.${index}`, value: patterns[index], rule: 'matches no tensor of this network' }],
  );
  if (faults.length > 0) throw ClaraError.ofFaults('the task', faults);
  return parameters.filter(({ name }) => expressions.some((expression) => expression.test(name)));
}

function expressionOf(text: string, what: string): RegExp {
  try {
    return new RegExp(text, 'u');
  } catch {
    throw ClaraError.ofFaults('the task', [
      { path: what, value: text, rule: 'must be a regular expression (ECMAScript)' },
    ]);
  }
}
