import { isRecovery } from '../ledger/key-recovery.ts';
import { mostServed, type ServedKeys, type ServedRotation } from '../ledger/served-keys.ts';
import { findSigningKeys, type SigningKey } from '../store/signing-keys.ts';
import type { Pool } from '../store/pool.ts';

/** What whoever pinned a key of the ledger follows it with. */
export interface KeysToFollow {
  /** @param after the id or vkey of the newest key that is known already: what leads there is left out. */
  after(after: string | null): Promise<ServedKeys>;
}

/** Milliseconds: whole fleets ask at once, and keys change a few times a year. */
const copyLife = 1_000;

/** Reads what is served from the database, once for all that ask within a second. */
export function createKeysToFollow(pool: Pool, clock: () => number = () => performance.now()): KeysToFollow {
  let copy: { readonly since: number; readonly steps: Promise<readonly Step[]> } | null = null;
  const read = (): Promise<readonly Step[]> => {
    if (copy && clock() - copy.since < copyLife) return copy.steps;
    const steps = findSigningKeys(pool).then(stepsOf);
    const own = (copy = { since: clock(), steps });
    steps.catch(() => {
      if (copy === own) copy = null;
    });
    return steps;
  };
  return {
    async after(after) {
      const steps = await read();
      const recovery = steps.findLast(({ proof }) => isRecovery(proof))?.proof ?? null;
      const known = after === null ? -1 : steps.findLastIndex(({ to }) => isCalled(to, after));
      const rotations = steps.slice(known + 1).filter((step): step is ServedRotation => isRotation(step));
      return { recovery, rotations: rotations.slice(0, mostServed) };
    },
  };
}

/** How a key came to count: proved by the one before, or named by the recovery key, whose statement the proof then is. */
type Step = Omit<ServedRotation, 'from'> & { readonly from: string | null };

function isRotation({ from, proof }: Step): boolean {
  return from !== null && !isRecovery(proof);
}

/** What was ever proved, oldest first. */
function stepsOf(all: readonly SigningKey[]): Step[] {
  // A version that never counted is nobody's forerunner.
  const keys = all.filter(({ name, event, proof }) => name === 'ledger' && (event === null || proof !== null));
  return keys.flatMap(({ key, proof }, place) =>
    proof === null ? [] : [{ from: keys[place - 1]?.key ?? null, to: key, proof }],
  );
}

function isCalled(vkey: string, name: string): boolean {
  return vkey === name || vkey.split('+')[1] === name;
}
