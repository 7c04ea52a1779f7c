import type { EventOf } from './events.ts';
import { saysOtherwise } from './statements.ts';

/** How many devices are remembered; of one that was forgotten anything is let pass. */
const remembered = 1_000_000;

/**
 * Generations of devices' passwords: each is prepared before the device may say that it has it or anybody is given it,
 * and they only count up. Remembered is the newest of each device. Every method returns what does not hold, or null.
 */
export class Secrets {
  readonly #newest = new Map<string, number>();

  prepared({ device, generation, actor }: EventOf<'secret.prepared'>): string | null {
    if (actor.kind !== 'device' || actor.id !== device) return `the password is not prepared for \`${device}\``;
    const newest = this.#newest.get(device) ?? 0;
    if (generation <= newest) return `\`${device}\` has had a password ${newest} before`;
    this.#newest.delete(device);
    this.#newest.set(device, generation);
    if (this.#newest.size > remembered) this.#newest.delete(this.#newest.keys().next().value!);
    return null;
  }

  released({ device, generations }: EventOf<'secret.released'>): string | null {
    return this.#isUnknown(device, Math.max(...generations)) ? `\`${device}\` has had no such password` : null;
  }

  rotated(event: EventOf<'secret.rotated'>): string | null {
    const { secret, generation } = event;
    return saysOtherwise(event, { secret, generation });
  }

  #isUnknown(device: string, generation: number): boolean {
    const newest = this.#newest.get(device);
    return newest === undefined ? this.#newest.size < remembered : generation > newest;
  }
}
