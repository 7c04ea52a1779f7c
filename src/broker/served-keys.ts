import { keySteps, mostServed, servedKeys, type KeyStep, type ServedKeys } from '../ledger/served-keys.ts';
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
  let copy: { readonly since: number; readonly steps: Promise<readonly KeyStep[]> } | null = null;
  const read = (): Promise<readonly KeyStep[]> => {
    if (copy && clock() - copy.since < copyLife) return copy.steps;
    const steps = findSigningKeys(pool).then((all) => keySteps(all.filter(({ name }) => name === 'ledger')));
    const own = (copy = { since: clock(), steps });
    steps.catch(() => {
      if (copy === own) copy = null;
    });
    return steps;
  };
  return {
    async after(after) {
      const steps = await read();
      const known = after === null ? -1 : steps.findLastIndex(({ to }) => isCalled(to, after));
      const { recovery } = servedKeys(steps);
      return { recovery, rotations: servedKeys(steps.slice(known + 1)).rotations.slice(0, mostServed) };
    },
  };
}

function isCalled(vkey: string, name: string): boolean {
  return vkey === name || vkey.split('+')[1] === name;
}
