import type { Bundle } from './bundle.ts';
import { ask } from './engine.ts';
import type { Answer, Inputs } from './engine.ts';
import { reasonsFor } from './explain.ts';
import { inputsFor } from './inputs.ts';
import type { Decision, Question } from './question.ts';

/**
 * Answers a question of policy. Never throws: whatever cannot be evaluated is a no with the reason
 * `evaluation-failed`. The answer names the bundle, the policies that decided and all that was taken into account.
 */
export function decide(bundle: Bundle, question: Question): Decision {
  let inputs: Inputs | null = null;
  try {
    inputs = inputsFor(bundle.engine, question);
  } catch {
    // Only a question that is not of its type ends here; null inputs are refused below.
  }
  return redecide(bundle, inputs);
}

/** Makes a recorded decision again from its inputs: the same bundle gives the same answer. Never throws. */
export function redecide(bundle: Bundle, inputs: unknown): Decision {
  const answer: Answer = isShallow(inputs, deepestInputs)
    ? ask(bundle.engine, inputs as Inputs)
    : { allowed: false, determining: [], errors: [{ policy: null, message: 'nested too deeply' }] };
  return {
    allowed: answer.allowed,
    policies: answer.determining,
    reasons: answer.allowed ? [] : reasonsFor(bundle.engine, inputs as Inputs, answer),
    digest: bundle.digest,
    inputs,
  };
}

// The engine reads inputs by recursion, and what is too deep for its stack leaves it unusable. Ours go down to 6.
const deepestInputs = 16;

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1));
}
