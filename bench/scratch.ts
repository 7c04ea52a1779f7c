import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A folder for one run, below `.latchkey` of the checkout: on the same disk as what `npm start` keeps, since a
 * temporary folder may lie in memory, where nothing waits for a disk.
 */
export function scratchDirectory(): { readonly path: string; remove(): void } {
  const parent = fileURLToPath(new URL('../.latchkey/', import.meta.url));
  mkdirSync(parent, { recursive: true });
  const path = mkdtempSync(join(parent, 'bench-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
