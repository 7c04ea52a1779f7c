import { Offence, type Audit, type Remarks } from '../../ledger/audit.ts';

/** Entries to audit: where each begins and ends in `bytes`; null ends the audit. */
export type Order = {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly begins: Uint32Array;
  readonly ends: Uint32Array;
} | null;

/** What came of it: an offence as plain data, which threads can hand each other. */
export interface Answer {
  readonly offence: Pick<Offence, 'index' | 'message' | 'exact'> | null;
  /** Of an audit that has ended without one. */
  readonly remarks: Remarks | null;
}

/** Takes entries up to the first that does not hold. */
export function take(audit: Audit, entries: Iterable<Uint8Array>): Answer {
  return answering(() => {
    for (const bytes of entries) audit.entry(bytes);
    return null;
  });
}

export function finish(audit: Audit): Answer {
  return answering(() => audit.finish());
}

function answering(work: () => Remarks | null): Answer {
  try {
    return { offence: null, remarks: work() };
  } catch (error) {
    if (!(error instanceof Offence)) throw error;
    const { index, message, exact } = error;
    return { offence: { index, message, exact }, remarks: null };
  }
}
