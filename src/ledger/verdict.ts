/** What a verifier found: either everything holds, or the first thing that does not, said in one sentence. */
export type Verdict = { readonly ok: true } | Failure;

export interface Failure {
  readonly ok: false;
  readonly reason: string;
}

export const holds: Verdict = { ok: true };

export function fails(reason: string): Failure {
  return { ok: false, reason };
}

/** A text or a sequence of bytes that is not of its format. The message is the reason. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}
