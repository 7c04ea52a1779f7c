import type { EventOf } from './events.ts';

/** The broker's own keys: each takes the place of the one before it, and none comes back. */
export class RotatedKeys {
  readonly #current = new Map<string, string>();
  readonly #seen = new Set<string>();

  rotated({ key, from, to }: EventOf<'key.rotated'>): string | null {
    const current = this.#current.get(key);
    if (current !== undefined && current !== from) return `it replaces another \`${key}\` key than the one before it`;
    if (to === from || this.#seen.has(to)) return `it brings back a \`${key}\` key that was replaced`;
    this.#current.set(key, to);
    this.#seen.add(from);
    return null;
  }
}
