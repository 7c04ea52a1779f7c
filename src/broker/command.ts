import { timingSafeEqual } from 'node:crypto';
import { LatchkeyError, type ErrorCode, type ErrorExtras } from '../domain/errors.ts';
import type { PersonId } from '../domain/ids.ts';
import type { Actor } from '../ledger/events.ts';
import type { Decision } from '../policy/question.ts';
import { findAnswer, isKeyTaken, keepAnswer, releaseOldKey } from '../store/idempotency.ts';
import { inTransaction, type Tx } from '../store/transaction.ts';
import type { BrokerContext } from './context.ts';
import { Journal } from './journal.ts';

/** A key under which a person may repeat a call and be answered the same (contract §4). */
export interface Idempotency {
  readonly person: PersonId;
  readonly key: string;
  /** SHA-256 of all that makes the call what it is. */
  readonly bodyHash: Buffer;
}

export interface CommandOptions {
  readonly actor: Actor;
  /** Everything is done, and then undone. */
  readonly dryRun?: boolean;
  readonly idempotency?: Idempotency | null;
}

/** A refusal that is itself a fact: what its journal holds is committed before the caller is told. */
export class RecordedRefusal extends Error {
  readonly refusal: LatchkeyError;
  constructor(refusal: LatchkeyError) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}

/** A refusal by policy, with its reasons. */
export function refusedByPolicy(decision: Decision): LatchkeyError {
  const [first] = decision.reasons;
  return new LatchkeyError('not-permitted', first?.message ?? 'policy does not permit this', {
    reasons: decision.reasons,
  });
}

/** The refusal of somebody whom no rule speaks of. */
export function noPolicyPermits(what: string): LatchkeyError {
  const message = `no policy permits you to ${what}`;
  return new LatchkeyError('not-permitted', message, {
    reasons: [{ policy: 'no-policy-permits', message, remedy: null }],
  });
}

/** What a use case needs to run at all; a command of an operator's has no more than this. */
export type CommandContext = Pick<BrokerContext, 'pool' | 'region' | 'sealer'> & {
  readonly ledger: Pick<BrokerContext['ledger'], 'poke'>;
};

type Work<T> = (tx: Tx, journal: Journal) => Promise<T>;

/**
 * Runs one use case: its state, its events and its kept answer are committed together or not at all. Hints go out
 * after the commit.
 */
export async function runCommand<T>(context: CommandContext, options: CommandOptions, work: Work<T>): Promise<T> {
  const { actor, dryRun = false, idempotency = null } = options;
  const outcome =
    idempotency && !dryRun
      ? await performOnce(context, actor, idempotency, work)
      : await perform(context, actor, dryRun, work);
  if ('refused' in outcome) throw outcome.refused;
  return outcome.value;
}

async function perform<T>(
  context: CommandContext,
  actor: Actor,
  dryRun: boolean,
  work: Work<T>,
  keep: (tx: Tx, outcome: Outcome<T>) => void = () => {},
): Promise<Outcome<T>> {
  const { outcome, journal } = await inTransaction(
    context.pool,
    async (tx) => {
      const journal = new Journal(context.region, actor);
      const outcome = await attempt(tx, journal, work);
      keep(tx, outcome);
      journal.write(tx);
      return { outcome, journal };
    },
    { dryRun },
  );
  // If we stop here, the answer is lost but not the act: a retry under the same key is told what was done, and every
  // waiting reader looks again by itself.
  if (!dryRun) {
    journal.committed();
    context.ledger.poke();
  }
  return outcome;
}

type Outcome<T> = { readonly value: T } | { readonly refused: LatchkeyError };

async function attempt<T>(
  tx: Tx,
  journal: Journal,
  work: (tx: Tx, journal: Journal) => Promise<T>,
): Promise<Outcome<T>> {
  try {
    return { value: await work(tx, journal) };
  } catch (error) {
    if (error instanceof RecordedRefusal) return { refused: error.refusal };
    throw error;
  }
}

/** Codes that belong to the moment rather than to the call: they are not kept. */
const passing = new Set<ErrorCode>(['internal', 'unavailable', 'too-many-requests', 'request-timeout']);

/**
 * Does the work and keeps its answer in one transaction, which fails when the key has one already: a repeat does it all
 * again, in vain, and is answered as the first call was. Of repeats at the same time, one is the first.
 */
async function performOnce<T>(
  context: CommandContext,
  actor: Actor,
  idempotency: Idempotency,
  work: Work<T>,
): Promise<Outcome<T>> {
  const { pool, sealer } = context;
  const { person, key, bodyHash } = idempotency;
  const sealedFor = `${person} ${key}`;
  const keep = (tx: Tx, outcome: Outcome<T>): void =>
    keepAnswer(tx, person, key, { bodyHash, answer: sealer.seal(freeze(outcome), sealedFor) });
  for (;;) {
    try {
      return await perform(context, actor, false, work, keep);
    } catch (error) {
      const kept = await findAnswer(pool, person, key);
      if (kept) {
        if (timingSafeEqual(kept.bodyHash, bodyHash)) return thaw(sealer.open(kept.answer, sealedFor));
        throw new LatchkeyError('conflict', 'this `Idempotency-Key` was used for another call');
      }
      if (isKeyTaken(error)) {
        await releaseOldKey(pool, person, key);
        continue;
      }
      if (!(error instanceof LatchkeyError) || passing.has(error.code)) throw error;
      // What it did is undone; that it was refused is what a repeat will be told.
      const refused: Outcome<T> = { refused: error };
      const isFirst = await inTransaction(pool, async (tx) => keep(tx, refused)).then(
        () => true,
        (failure: unknown) => {
          if (isKeyTaken(failure)) return false;
          throw failure;
        },
      );
      if (isFirst) return refused;
    }
  }
}

type Frozen =
  | { readonly value: unknown }
  | { readonly refused: Omit<ErrorExtras, 'cause'> & { readonly code: ErrorCode; readonly detail: string } };

function freeze<T>(outcome: Outcome<T>): string {
  if ('value' in outcome) return JSON.stringify({ value: outcome.value } satisfies Frozen);
  const { code, detail, errors, reasons } = outcome.refused;
  return JSON.stringify({
    refused: { code, detail, ...(errors && { errors }), ...(reasons && { reasons }) },
  } satisfies Frozen);
}

function thaw<T>(kept: string): Outcome<T> {
  const frozen = JSON.parse(kept) as Frozen;
  if ('value' in frozen) return { value: frozen.value as T };
  const { code, detail, ...extras } = frozen.refused;
  return { refused: new LatchkeyError(code, detail, extras) };
}
