import type { InputMistake, Reason } from '../domain/errors.ts';

/** What the exit code says, for every command (contract §1). */
export const exitCodes = { done: 0, failed: 1, usage: 2, refused: 3, 'signed-out': 4, unreachable: 5 } as const;
export type FailureKind = Exclude<keyof typeof exitCodes, 'done'>;

/** `run` and `connect` carry the action's own exit code; their own failures are this much more than the code. */
export const ownFailureOffset = 120;

export interface FailureExtras {
  /** What to do next, shown on a line of its own: lower case, commands in backticks. */
  readonly hint?: string | undefined;
  readonly reasons?: readonly Reason[] | undefined;
  readonly errors?: readonly InputMistake[] | undefined;
  /** The problem document as the server sent it, for `--json`. */
  readonly problem?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

/** Why a command did not do what was asked: one sentence for a person, a kind for the exit code. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly kind: FailureKind;
  readonly hint: string | undefined;
  readonly reasons: readonly Reason[];
  readonly errors: readonly InputMistake[];
  readonly problem: Readonly<Record<string, unknown>> | undefined;

  constructor(kind: FailureKind, sentence: string, extras: FailureExtras = {}) {
    super(sentence, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.kind = kind;
    this.hint = extras.hint;
    this.reasons = extras.reasons ?? [];
    this.errors = extras.errors ?? [];
    this.problem = extras.problem;
  }
}

/** What was thrown, as a failure; what is none is a mistake of this program's and says so. */
export function asFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Failure('failed', `something went wrong that should not have: ${message}`, { cause: thrown });
}

/** The failure as a problem document (RFC 9457) for `--json`, with the exit code the command ends with. */
export function problemDocument(failure: Failure, exitCode: number): Record<string, unknown> {
  const own = { type: `urn:latchkey:cli:${failure.kind}`, title: titles[failure.kind], detail: failure.message };
  const hint = failure.hint === undefined ? {} : { hint: failure.hint };
  return { ...own, ...failure.problem, ...hint, exitCode };
}

const titles: Readonly<Record<FailureKind, string>> = {
  failed: 'failed',
  usage: 'wrong usage',
  refused: 'refused',
  'signed-out': 'not signed in',
  unreachable: 'unreachable',
};
