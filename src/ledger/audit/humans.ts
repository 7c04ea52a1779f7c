import type { PersonId } from '../../domain/ids.ts';
import type { EventOf } from './events.ts';

/** A decision may have been taken while the link was being written. */
const grace = 10_000;

/** Which persons are one human, as far as the ledger says. Grows with the number of such links alone. */
export class Humans {
  readonly #links = new Map<string, { readonly other: string; readonly at: number }[]>();

  link({ person, other, at }: EventOf<'person.linked'>): void {
    const since = Date.parse(at);
    for (const [one, two] of [
      [person, other],
      [other, person],
    ] as const) {
      this.#links.set(one, [...(this.#links.get(one) ?? []), { other: two, at: since }]);
    }
  }

  /** True when both were known for one human at that time. */
  isSame(a: PersonId, b: PersonId, at: string): boolean {
    if (a === b) return true;
    if (!this.#links.has(a) || !this.#links.has(b)) return false;
    const latest = Date.parse(at) - grace;
    const reached = new Set<string>([a]);
    for (const person of reached) {
      for (const link of this.#links.get(person) ?? []) if (link.at < latest) reached.add(link.other);
    }
    return reached.has(b);
  }
}
