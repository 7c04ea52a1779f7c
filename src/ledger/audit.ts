import { Offence } from './audit/offence.ts';
import { Rules } from './audit/rules.ts';
import { shapeOf } from './audit/shapes.ts';
import { parseCanonical } from './canonical-check.ts';
import type { LedgerEvent } from './events.ts';
import { Malformed } from './verdict.ts';

export { Offence } from './audit/offence.ts';

/** What an audit noticed that is no offence. */
export interface Remarks {
  /** Events of types that are not known here: nothing but their form was checked. */
  readonly unknownTypes: number;
  /** Sessions that were reported so late that their credentials are no longer remembered. */
  readonly lateSessions: number;
}

/** Reads a ledger's entries, in order, and checks their form, what they hold and the rules between them. */
export interface Audit {
  /** How many entries were taken so far. */
  readonly size: number;
  /**
   * Takes the next entry: its very bytes, or null when it is gone.
   * @throws Offence when it does not hold.
   */
  entry(bytes: Uint8Array | null): void;
  /** Ends the audit. @throws Offence when something stayed open that should not. */
  finish(): Remarks;
}

/** Begins an audit before the first entry. Memory is bounded by what is open at one time, not by the ledger's length. */
export function createAudit(): Audit {
  const rules = new Rules();
  let unknownTypes = 0;
  let size = 0;

  return {
    get size() {
      return size;
    },
    entry(bytes) {
      const index = size;
      if (bytes === null) throw new Offence(index, 'the entry is gone');
      const event = readEvent(index, bytes);
      const { known, wrong } = shapeOf(event);
      if (wrong !== null) throw new Offence(index, `its member \`${wrong}\` is not what such an event holds`);
      const broken = known ? rules.check(index, event as unknown as LedgerEvent) : null;
      if (broken !== null) throw new Offence(index, broken);
      if (!known) unknownTypes++;
      size += 1;
    },
    finish() {
      const unsettled = rules.sessions.firstUnsettled();
      if (unsettled) throw new Offence(unsettled.index, unsettled.reason);
      return { unknownTypes, lateSessions: rules.sessions.passed };
    },
  };
}

function readEvent(index: number, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return parseCanonical(bytes);
  } catch (error) {
    if (error instanceof Malformed) throw new Offence(index, `the entry ${error.message}`);
    throw error;
  }
}
