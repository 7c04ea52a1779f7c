import { hash } from 'node:crypto';
import { isOlder, type EventOf } from './events.ts';
import { claimsOf, saysOtherwise } from './statements.ts';

type Statement = EventOf<'session.started' | 'session.refused' | 'session.ended' | 'action.performed'>;

/** How many credentials are remembered at least, for the sessions that may come of them; they are forgotten by the stretch. */
const remembered = 100_000;
const stretch = 10_000;
const alarm = 'unknown-credential';

/**
 * Credentials that were issued, and the rule for what devices state: no session without its credential, unless the
 * ledger itself raises the alarm over it. A device may report late: a session whose credential is older than all that
 * is remembered is counted and let pass.
 */
export class Sessions {
  readonly #issued = new Remembered();
  /** Sessions without a credential, by the entry that states them, until their alarm is found. */
  readonly #unsettled = new Map<string, number>();
  readonly #alarmed = new Set<string>();
  #passed = 0;

  issued({ jti, credential, grant, device, person }: EventOf<'credential.issued'>): void {
    this.#issued.add(jti, digestOf(jti, credential, grant, device, person));
  }

  /** @returns what does not hold of a device's statement, or null. */
  stated(index: number, event: Statement): string | null {
    const wrong = saysOtherwise(event, { session: event.session, grant: event.grant });
    if (wrong) return wrong;
    if (event.type !== 'session.started' || event.session === null) return null;
    const { credentialId, credential, person } = claimsOf(event.statement) as Readonly<Record<string, string>>;
    if (this.#issued.has(digestOf(credentialId, credential, event.grant ?? '', event.device, person))) return null;
    if (this.#alarmed.has(event.session)) return null;
    if (this.#issued.isForgotten(String(credentialId))) this.#passed++;
    else if (!this.#unsettled.has(event.session)) this.#unsettled.set(event.session, index);
    return null;
  }

  raised({ kind, subject }: EventOf<'alarm.raised'>): void {
    if (kind !== alarm) return;
    this.#unsettled.delete(subject);
    this.#alarmed.add(subject);
    if (this.#alarmed.size > remembered) this.#alarmed.delete(this.#alarmed.values().next().value!);
  }

  /** The first session that nothing was issued for and that raised no alarm; null when there is none. */
  firstUnsettled(): { readonly index: number; readonly reason: string } | null {
    const [first] = [...this.#unsettled].sort(([, a], [, b]) => a - b);
    return first ? { index: first[1], reason: `the session \`${first[0]}\` has no credential` } : null;
  }

  /** Sessions that could not be held against their credential, for their age. */
  get passed(): number {
    return this.#passed;
  }
}

/** The credentials of the last while, by digests: a quarter of the memory that the words themselves would take. */
class Remembered {
  readonly #stretches: { readonly digests: Set<string>; newest: string }[] = [];
  #newestForgotten = '';

  add(id: string, digest: string): void {
    if ((this.#stretches.at(-1)?.digests.size ?? stretch) >= stretch) this.#begin();
    const last = this.#stretches.at(-1)!;
    last.digests.add(digest);
    last.newest = id;
  }

  #begin(): void {
    this.#stretches.push({ digests: new Set(), newest: '' });
    if (this.#stretches.length * stretch <= remembered + stretch) return;
    this.#newestForgotten = this.#stretches.shift()!.newest;
  }

  has(digest: string): boolean {
    return this.#stretches.some(({ digests }) => digests.has(digest));
  }

  /** True when one with this id would not be remembered any more. */
  isForgotten(id: string): boolean {
    return this.#newestForgotten !== '' && !isOlder(this.#newestForgotten, id);
  }
}

function digestOf(jti: unknown, credential: unknown, grant: string, device: string, person: unknown): string {
  const words = `${String(jti)} ${String(credential)} ${grant} ${device} ${String(person)}`;
  return hash('sha256', words, 'buffer').toString('latin1');
}
