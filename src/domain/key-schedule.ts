/** A version of a key. Times are milliseconds since the epoch. */
export interface KeyVersion {
  readonly version: string;
  /** When it was made, and so from when on it is published. */
  readonly since: number;
  /** False once it was taken out of use, for whatever reason and for ever. */
  readonly enabled: boolean;
}

/** How long versions wait and stay, in milliseconds. */
export interface KeyTimes {
  /**
   * From being published to signing: longer than it takes every broker to read the vault again, and every verifier's
   * copy of the published keys to run out, with what their clocks may differ.
   */
  readonly lead: number;
  /** From the successor's first signature to the end: longer than anything lives that was signed, with the same allowance. */
  readonly overlap: number;
}

/**
 * `waiting`: published, signs later. `signing`: the one that signs. `verifying`: signs no more, and what it signed still
 * counts. `retired`: nothing it signed can still be in force. `surplus`: made while another was waiting already, and
 * never used. `disabled`: taken out of use.
 */
export type KeyState = 'waiting' | 'signing' | 'verifying' | 'retired' | 'surplus' | 'disabled';

export interface KeySchedule {
  readonly states: ReadonlyMap<string, KeyState>;
  /** Null when no version is enabled. */
  readonly signing: string | null;
  /** Those that verify, oldest first: `verifying`, `signing`, `waiting`. */
  readonly published: readonly string[];
  /** When the `waiting` one begins to sign, if there is one. */
  readonly signsNext: number | null;
  /** Until when the clock changes nothing of this. */
  readonly until: number;
}

/**
 * Which version of a key does what at a moment. It follows from when the versions were made and from the clock alone,
 * so that brokers which see the same versions agree without talking to each other, and those whose clocks differ by less
 * than the times allow for never refuse what another signs.
 *
 * A version signs once its lead has passed, or at once when no older one is left. One that was made while its forerunner
 * was still waiting is surplus: of two brokers that rotate at once, the earlier counts.
 * @param versions in the order in which they were made, which counts where their times say otherwise.
 */
export function scheduleKeys(versions: readonly KeyVersion[], now: number, times: KeyTimes): KeySchedule {
  const states = new Map<string, KeyState>();
  const line: { readonly version: string; readonly signsFrom: number }[] = [];
  let since = Number.NEGATIVE_INFINITY;
  for (const { version, since: made, enabled } of versions) {
    since = Math.max(since, made);
    const forerunner = line.at(-1);
    if (!enabled) states.set(version, 'disabled');
    else if (forerunner && since < forerunner.signsFrom) states.set(version, 'surplus');
    // The very first key has nobody to wait for, nor has one whose forerunners are all gone.
    else line.push({ version, signsFrom: forerunner ? since + times.lead : since });
  }
  const signs = Math.max(
    0,
    line.findLastIndex(({ signsFrom }) => signsFrom <= now),
  );
  const published: string[] = [];
  let until = Number.POSITIVE_INFINITY;
  for (const [place, { version, signsFrom }] of line.entries()) {
    const end = (line[place + 1]?.signsFrom ?? Number.POSITIVE_INFINITY) + times.overlap;
    const state = place > signs ? 'waiting' : place === signs ? 'signing' : now < end ? 'verifying' : 'retired';
    states.set(version, state);
    if (state !== 'retired') published.push(version);
    for (const turn of [signsFrom, end]) if (turn > now) until = Math.min(until, turn);
  }
  return {
    states,
    signing: line[signs]?.version ?? null,
    published,
    signsNext: line[signs + 1]?.signsFrom ?? null,
    until,
  };
}
