import { signCheckpoint } from '../ledger/checkpoint.ts';
import { consistencyProof } from '../ledger/merkle-proof.ts';
import type { VerifierKey } from '../ledger/vkey.ts';
import { keepCosignature } from '../store/cosignatures.ts';
import { findLedgerState } from '../store/ledger.ts';
import type { Pool } from '../store/pool.ts';
import type { HighWater } from './high-water.ts';
import { sayOnce, type SaidOnce } from './say-once.ts';
import type { LedgerSigner } from './sequence-ledger.ts';
import { readTree } from './tree-reader.ts';
import { askWitness, type WitnessAddress } from './witness-client.ts';

/** Those who are asked to cosign each checkpoint. What they answer is kept in the database, for all brokers. */
export interface Witnesses {
  /** How many must have cosigned the checkpoint of a receipt. */
  readonly needed: number;
  /** Their keys, each as name and id. */
  readonly keys: readonly string[];
  /** A hint that there is a new checkpoint, or that somebody waits for cosignatures. */
  poke(): void;
  /** Asks for the newest checkpoint's cosignatures and waits until all have answered, or two seconds. */
  ask(): Promise<void>;
  /** Calls whenever a cosignature was kept. */
  onCosigned(heard: () => void): void;
  close(): Promise<void>;
}

/** A checkpoint that witnesses are asked for: all are asked for the same, so that their cosignatures come together. */
interface Target {
  readonly size: number;
  readonly checkpoint: string;
  readonly since: number;
  readonly answered: Set<WitnessAddress>;
  cosigned: number;
}

interface Contact {
  busy: Promise<void> | null;
  /** The size it cosigned last, as far as is known here. */
  last: number;
  failures: number;
  restsUntil: number;
  readonly trouble: SaidOnce;
}

const firstRest = 200;
const longestRest = 30_000;
const longestAsking = 2_000;
/** Between one checkpoint and the next, in milliseconds: shorter where receipts wait for it. */
const pace = { awaited: 20, idle: 1_000 };
const tries = 3;

export function openWitnesses(options: {
  readonly witnesses: readonly WitnessAddress[];
  readonly needed: number;
  readonly pool: Pool;
  readonly signer: LedgerSigner;
  readonly highWater: HighWater;
  readonly log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
}): Witnesses {
  const { witnesses, needed, pool, signer, highWater, log } = options;
  const stop = new AbortController();
  const contacts = new Map(
    witnesses.map((witness): [WitnessAddress, Contact] => {
      const trouble = sayOnce((_, error) => log.warn({ witness: witness.url, error }, 'a witness does not cosign'));
      return [witness, { busy: null, last: 0, failures: 0, restsUntil: 0, trouble }];
    }),
  );
  let heard = (): void => {};
  let target: Target | null = null;
  let pumping: Promise<void> | null = null;
  let again = false;
  let timer: NodeJS.Timeout | undefined;
  let pumpsAt = 0;

  /** True once waiting longer for this target would gain nothing that is needed. */
  const isSettled = ({ answered, cosigned }: Target): boolean => {
    if (needed > 0 && cosigned >= needed) return true;
    return [...contacts].every(([witness, { restsUntil }]) => answered.has(witness) || restsUntil > performance.now());
  };

  const pump = (): void => {
    if (stop.signal.aborted || witnesses.length === 0) return;
    again = pumping !== null;
    pumping ??= turn()
      .catch((error: unknown) => log.warn({ error: String(error) }, 'witnesses could not be asked'))
      .finally(() => {
        pumping = null;
        if (again) pump();
      });
  };

  const turn = async (): Promise<void> => {
    if (target === null || isSettled(target)) {
      const wait = target ? target.since + (needed > 0 ? pace.awaited : pace.idle) - performance.now() : 0;
      if (wait > 0) {
        later(wait);
      } else {
        const { size, checkpoint } = await findLedgerState(pool);
        if (checkpoint !== null && checkpoint !== target?.checkpoint && !highWater.behind()) {
          target = { size, checkpoint, since: performance.now(), answered: new Set(), cosigned: 0 };
        }
      }
    }
    if (target) askFor(target);
  };

  const later = (wait: number): void => {
    const at = performance.now() + wait;
    if (timer && at >= pumpsAt) return;
    clearTimeout(timer);
    pumpsAt = at;
    timer = setTimeout(() => {
      timer = undefined;
      pump();
    }, wait).unref();
  };
  const quiet = (): Promise<unknown> => Promise.all([...contacts.values()].map(async ({ busy }) => busy));

  const askFor = (wanted: Target): void => {
    for (const [witness, contact] of contacts) {
      if (contact.busy || wanted.answered.has(witness)) continue;
      const rest = contact.restsUntil - performance.now();
      if (rest > 0) {
        later(rest);
        continue;
      }
      contact.busy = askOne(witness, contact, wanted).finally(() => {
        contact.busy = null;
        pump();
      });
    }
  };

  const askOne = async (witness: WitnessAddress, contact: Contact, wanted: Target): Promise<void> => {
    try {
      const line = await cosign(witness, contact, wanted);
      if (line !== null) {
        const { size, checkpoint } = wanted;
        // A tree without entries is nothing that a receipt could be of.
        if (size > 0) await keepCosignature(pool, { size, checkpoint, witness: keyName(witness.key), line });
        wanted.cosigned += 1;
        heard();
      }
      wanted.answered.add(witness);
      contact.failures = 0;
      contact.trouble.worked();
    } catch (error) {
      if (stop.signal.aborted) return;
      contact.failures += 1;
      contact.restsUntil = performance.now() + Math.min(longestRest, firstRest * 2 ** (contact.failures - 1));
      contact.trouble.failed(reasonOf(error));
    }
  };

  /** The cosignature, or null when this checkpoint is no longer, or never, to be had. */
  const cosign = async (witness: WitnessAddress, contact: Contact, wanted: Target): Promise<string | null> => {
    const { size, checkpoint } = wanted;
    for (let attempt = 0; attempt < tries; attempt++) {
      const old = Math.min(contact.last, size);
      const proof = old === 0 || old === size ? [] : await consistencyProof(old, size, readTree(pool, size, old - 1));
      const answer = await askWitness(witness, { old, proof, checkpoint }, stop.signal);
      switch (answer.kind) {
        case 'cosigned':
          contact.last = size;
          return answer.line;
        case 'inconsistent':
          return contradict(witness, old);
        case 'size':
          contact.last = answer.size;
          if (answer.size === old) return contradict(witness, old);
          if (answer.size > size) {
            // Another broker may have been faster; but it, too, had to commit first.
            const isAhead = answer.size > (await findLedgerState(pool)).size;
            return isAhead ? contradict(witness, answer.size) : null;
          }
      }
    }
    return null;
  };

  const contradict = async (witness: WitnessAddress, size: number): Promise<null> => {
    const counts = await highWater.contradicted(keyName(witness.key), size);
    if (!counts) throw new Error('the witness still knows the tree that was lost');
    log.error(
      { witness: witness.url, size },
      'a witness has seen a tree of the ledger that the database does not have: run `latchkey ledger accept-rollback` once you know why',
    );
    return null;
  };

  return {
    needed,
    keys: witnesses.map(({ key }) => keyName(key)),
    poke: pump,
    async ask() {
      if (witnesses.length === 0) return;
      const { size, root, checkpoint } = await findLedgerState(pool);
      if (highWater.behind()) return;
      // An empty tree is the beginning of every other, so to sign it commits to nothing.
      const signed =
        checkpoint ??
        signCheckpoint(
          { origin: signer.origin, size, root },
          ...signer.privateKeys().map(({ privateKey }) => privateKey),
        );
      target = { size, checkpoint: signed, since: performance.now(), answered: new Set(), cosigned: 0 };
      askFor(target);
      const limit = new AbortController();
      const tooLate = new Promise<void>((resolve) => {
        const end = setTimeout(resolve, longestAsking);
        limit.signal.addEventListener('abort', () => clearTimeout(end));
      });
      await Promise.race([quiet(), tooLate]);
      limit.abort();
    },
    onCosigned(listener) {
      heard = listener;
    },
    async close() {
      stop.abort();
      clearTimeout(timer);
      await pumping;
      await quiet();
    },
  };
}

function keyName({ name, id }: VerifierKey): string {
  return `${name}+${id}`;
}

/** What `fetch` says is in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, message } = (error.cause ?? {}) as { readonly code?: string; readonly message?: string };
  return code ?? message ?? error.message;
}
