import type { InputMistake, Reason } from '../domain/errors.ts';
import { Failure, type FailureKind } from './failure.ts';

interface ProblemDocument {
  readonly type?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly errors?: readonly InputMistake[];
  readonly reasons?: readonly Reason[];
}

/** Makes a failure of an API's problem document (RFC 9457), or of whatever came in its place. */
export function problemFailure(status: number, body: unknown, url: string): Failure {
  const problem: ProblemDocument | null = typeof body === 'object' && body !== null ? body : null;
  if (typeof problem?.type !== 'string') {
    const kind = status >= 500 ? 'unreachable' : 'failed';
    return new Failure(kind, `\`${url}\` does not answer as a broker does (status ${status})`, {
      hint: 'check the address; it is the one `latchkey login` was given, or `LATCHKEY_URL`',
    });
  }
  const code = problem.type.replace('urn:latchkey:problem:', '');
  return new Failure(kindOf(status), problem.detail ?? problem.title ?? code, {
    hint: hintFor(code, url),
    reasons: Array.isArray(problem.reasons) ? problem.reasons : [],
    errors: Array.isArray(problem.errors) ? problem.errors : [],
    problem: { ...problem },
  });
}

function kindOf(status: number): FailureKind {
  if (status === 401) return 'signed-out';
  if (status === 403) return 'refused';
  return status === 503 ? 'unreachable' : 'failed';
}

function hintFor(code: string, url: string): string | undefined {
  switch (code) {
    case 'unauthenticated':
      return `sign in again with \`latchkey login ${url}\``;
    case 'not-found':
      return 'it does not exist, or you are not one of those who may see it';
    case 'invalid-dpop-proof':
      return `check that this machine's clock is right, and that \`${url}\` is the broker's public address`;
    case 'too-many-requests':
    case 'unavailable':
      return 'try again in a moment';
    default:
      return undefined;
  }
}
