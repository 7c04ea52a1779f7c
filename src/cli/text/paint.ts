/** Colours by meaning, so that no command names an escape sequence. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly waiting: (text: string) => string;
  readonly bad: (text: string) => string;
}

const plain = (text: string): string => text;
const colour =
  (open: number, close: number) =>
  (text: string): string =>
    text === '' ? '' : `\u001b[${open}m${text}\u001b[${close}m`;

/** Colour only on a terminal; `NO_COLOR` (no-color.org) turns it off, `FORCE_COLOR` on, and the former wins. */
export function wantsColour(env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return isTerminal && env.TERM !== 'dumb';
}

/** The colours, or the same functions doing nothing. */
export function paintFor(colourful: boolean): Paint {
  if (!colourful) return { strong: plain, faint: plain, good: plain, waiting: plain, bad: plain };
  return {
    strong: colour(1, 22),
    faint: colour(2, 22),
    good: colour(32, 39),
    waiting: colour(33, 39),
    bad: colour(31, 39),
  };
}

/** Colours a state of a request, grant, review or alarm by what it means to its reader. */
export function paintState(paint: Paint, state: string): (text: string) => string {
  if (['active', 'granted', 'done', 'closed'].includes(state)) return paint.good;
  if (['pending', 'scheduled', 'due'].includes(state)) return paint.waiting;
  if (['denied', 'revoked', 'overdue', 'open'].includes(state)) return paint.bad;
  return paint.faint;
}
