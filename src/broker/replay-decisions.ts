import { commit } from '../ledger/canonical.ts';
import type { Commitment, DecisionRecord, LedgerEvent } from '../ledger/events.ts';
import {
  recordedDecisions,
  type RecordedDecisions,
  type ReplayDifference,
  type ReplaySummary,
} from '../ledger/recorded-decisions.ts';
import { loadBundle, redecide, type Bundle } from '../policy/index.ts';
import { findDisclosures, type StoredDisclosure } from '../store/disclosures.ts';
import { findLedgerState, readEntries } from '../store/ledger.ts';
import { findBundleFiles } from '../store/policy-bundles.ts';
import type { Pool } from '../store/pool.ts';

/** Told of each difference as it is found, and of how far the replay has come. */
export interface ReplayListener {
  difference(difference: ReplayDifference): void;
  progress?(done: number, size: number): void;
}

const batchSize = 500;

/**
 * Makes every decision that the ledger records again, from the bundle and the inputs it was made of, and tells of each
 * that comes out otherwise. Reads what has a position now, in batches. Whether the entries are those that were signed
 * is for verification to say.
 */
export async function replayDecisions(pool: Pool, listener: ReplayListener): Promise<ReplaySummary> {
  const { size } = await findLedgerState(pool);
  const count = { decisions: 0, erased: 0, differences: 0 };
  const bundleOf = openBundles(pool);
  for (let from = 0; from < size; from += batchSize) {
    const width = Math.min(batchSize, size - from);
    const entries = new Map((await readEntries(pool, from, width)).map((entry) => [entry.position, entry.bytes]));
    const read = Array.from({ length: width }, (_, place) => readEntry(from + place, entries.get(from + place)));
    const texts = await disclosuresOf(pool, read);
    for (const entry of read) {
      const about = { index: entry.index, id: entry.event?.id ?? null, type: entry.event?.type ?? null };
      const replayed = entry.recorded
        ? await replayEntry(entry.recorded, texts, bundleOf)
        : { decisions: 0, erased: 0, found: entry.problem === null ? [] : [difference(entry.problem)] };
      count.decisions += replayed.decisions;
      count.erased += replayed.erased;
      count.differences += replayed.found.length;
      for (const found of replayed.found) listener.difference({ ...about, ...found });
    }
    listener.progress?.(from + width, size);
  }
  return { entries: size, ...count };
}

interface ReadEntry {
  readonly index: number;
  readonly event: LedgerEvent | null;
  readonly recorded: RecordedDecisions | null;
  readonly problem: string | null;
}

function readEntry(index: number, bytes: Buffer | undefined): ReadEntry {
  if (!bytes) return { index, event: null, recorded: null, problem: 'the entry is gone' };
  try {
    const event = JSON.parse(bytes.toString('utf8')) as LedgerEvent;
    return { index, event, recorded: recordedDecisions(event), problem: null };
  } catch {
    return { index, event: null, recorded: null, problem: 'the entry is no event that this version knows' };
  }
}

type Texts = ReadonlyMap<Commitment, StoredDisclosure>;

/** What lies beside the ledger for these entries: the committed records first, then the inputs of all records. */
async function disclosuresOf(pool: Pool, read: readonly ReadEntry[]): Promise<Texts> {
  const recorded = read.flatMap((entry) => entry.recorded ?? []);
  const outer = await findDisclosures(
    pool,
    recorded.flatMap((each) => each.committed),
  );
  const disclosed = [...outer.values()].flatMap(({ value }) => readRecord(value) ?? []);
  const records = [...recorded.flatMap((each) => each.records), ...disclosed];
  const inner = await findDisclosures(
    pool,
    records.map((record) => record.inputs),
  );
  return new Map([...outer, ...inner]);
}

interface Replayed {
  readonly decisions: number;
  readonly erased: number;
  readonly found: readonly Found[];
}

type Found = Pick<ReplayDifference, 'problem' | 'recorded' | 'redecided'>;

function difference(problem: string, recorded?: readonly string[], redecided?: readonly string[]): Found {
  return { problem, recorded: recorded ?? null, redecided: redecided ?? null };
}

async function replayEntry(
  { answer, records, committed }: RecordedDecisions,
  texts: Texts,
  bundleOf: BundleOf,
): Promise<Replayed> {
  const found: Found[] = [];
  const known = [...records];
  let erased = 0;
  for (const commitment of committed) {
    const opened = open(texts, commitment);
    const record = opened.state === 'opened' ? readRecord(opened.value) : null;
    if (record) known.push(record);
    else if (opened.state === 'erased') erased += 1;
    else found.push(difference('the recorded decision is not what the ledger commits to'));
  }
  const answers: boolean[] = [];
  for (const record of known) {
    const again = await replayOne(record, texts, bundleOf);
    if (again === 'erased') erased += 1;
    else if ('problem' in again) found.push(again);
    else {
      answers.push(again.allowed);
      if (again.policies.join('\n') !== record.policies.join('\n')) {
        found.push(difference('other policies decide', record.policies, again.policies));
      } else if (answer === 'all-yes' && !again.allowed) {
        found.push(difference('what was done is refused', record.policies, again.policies));
      }
    }
  }
  // With some inputs gone, the no may have been among those.
  if (answer === 'some-no' && answers.length === known.length && answers.every(Boolean)) {
    found.push(difference('what was refused is allowed', known[0]?.policies));
  }
  return { decisions: answers.length, erased, found };
}

async function replayOne(
  record: DecisionRecord,
  texts: Texts,
  bundleOf: BundleOf,
): Promise<'erased' | Found | { readonly allowed: boolean; readonly policies: readonly string[] }> {
  const opened = open(texts, record.inputs);
  if (opened.state === 'erased') return 'erased';
  if (opened.state === 'other') return difference('the inputs are not what the ledger commits to', record.policies);
  const bundle = await bundleOf(record.policy);
  if (typeof bundle === 'string') return difference(bundle, record.policies);
  // What a commitment opens is what was committed to, and that was JSON.
  return redecide(bundle, JSON.parse(opened.value));
}

type Opened =
  { readonly state: 'opened'; readonly value: string } | { readonly state: 'erased' } | { readonly state: 'other' };

function open(texts: Texts, commitment: Commitment): Opened {
  const text = texts.get(commitment);
  if (!text) return { state: 'erased' };
  return commit(text.salt, text.value) === commitment ? { state: 'opened', value: text.value } : { state: 'other' };
}

function readRecord(text: string): DecisionRecord | null {
  try {
    const { policy, policies, inputs } = JSON.parse(text) as DecisionRecord;
    return Array.isArray(policies) && typeof policy === 'string' && typeof inputs === 'string'
      ? { policy, policies, inputs }
      : null;
  } catch {
    return null;
  }
}

type BundleOf = (digest: string) => Promise<Bundle | string>;

/** Neighbouring decisions are of few bundles; ten years of them would not fit. */
const bundlesAtHand = 8;

/** Finds bundles by digest, or says what is wrong with the one that is kept under it. */
function openBundles(pool: Pool): BundleOf {
  const atHand = new Map<string, Bundle | string>();
  const find = async (digest: string): Promise<Bundle | string> => {
    const files = await findBundleFiles(pool, digest);
    if (!files) return `the policy bundle \`${digest}\` is gone`;
    const loaded = loadBundle(new Map(Object.entries(files)));
    if (!loaded.ok) return `the policy bundle \`${digest}\` cannot be loaded: ${loaded.mistakes[0]!.message}`;
    return loaded.bundle.digest === digest ? loaded.bundle : `the policy bundle \`${digest}\` has been changed`;
  };
  return async (digest) => {
    const bundle = atHand.get(digest) ?? (await find(digest));
    atHand.delete(digest);
    atHand.set(digest, bundle);
    if (atHand.size > bundlesAtHand) atHand.delete(atHand.keys().next().value!);
    return bundle;
  };
}
