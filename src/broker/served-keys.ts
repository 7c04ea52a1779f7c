import { mostServed, type ServedKeys, type ServedRotation } from '../ledger/served-keys.ts';
import { findSigningKeys } from '../store/signing-keys.ts';
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
  let copy: { readonly since: number; readonly steps: Promise<readonly ServedRotation[]> } | null = null;
  const steps = (): Promise<readonly ServedRotation[]> => {
    if (copy && clock() - copy.since < copyLife) return copy.steps;
    const read = readSteps(pool);
    const own = (copy = { since: clock(), steps: read });
    read.catch(() => {
      if (copy === own) copy = null;
    });
    return read;
  };
  return {
    async after(after) {
      const all = await steps();
      const known = after === null ? -1 : all.findLastIndex(({ to }) => isCalled(to, after));
      return { recovery: null, rotations: all.slice(known + 1, known + 1 + mostServed) };
    },
  };
}

async function readSteps(pool: Pool): Promise<ServedRotation[]> {
  const keys = (await findSigningKeys(pool)).filter(({ name }) => name === 'ledger');
  const steps: ServedRotation[] = [];
  for (const [place, { key, proof }] of keys.entries()) {
    const before = keys[place - 1];
    if (before && proof !== null) steps.push({ from: before.key, to: key, proof });
  }
  return steps;
}

function isCalled(vkey: string, name: string): boolean {
  return vkey === name || vkey.split('+')[1] === name;
}
