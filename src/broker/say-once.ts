/** What may go wrong again and again, and is said once. */
export interface SaidOnce {
  /** Says it, unless that was the last thing that was said. */
  readonly failed: (error: unknown) => void;
  /** It works: the next failure is said, whatever it is. */
  readonly worked: () => void;
}

/** @param say is given what failed, and its message. */
export function sayOnce(say: (error: unknown, message: string) => void): SaidOnce {
  let said: string | null = null;
  return {
    failed(error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== said) say(error, message);
      said = message;
    },
    worked() {
      said = null;
    },
  };
}
