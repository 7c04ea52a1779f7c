import { isOlder, type EventOf } from './events.ts';
import { claimsOf, saysOtherwise } from './statements.ts';

type Statement = EventOf<'session.started' | 'session.refused' | 'session.ended' | 'action.performed'>;

/** How many credentials are remembered, for the sessions that may come of them. */
const remembered = 100_000;
const alarm = 'unknown-credential';

/**
 * Credentials that were issued, and the rule for what devices state: no session without its credential, unless the
 * ledger itself raises the alarm over it. A device may report late: a session whose credential is older than all that
 * is remembered is counted and let pass.
 */
export class Sessions {
  readonly #issued = new Set<string>();
  #newestForgotten = '';
  /** Sessions without a credential, by the entry that states them, until their alarm is found. */
  readonly #unsettled = new Map<string, number>();
  readonly #alarmed = new Set<string>();
  #passed = 0;

  issued({ jti, credential, grant, device, person }: EventOf<'credential.issued'>): void {
    this.#issued.add(keyOf(jti, credential, grant, device, person));
    if (this.#issued.size <= remembered) return;
    const [oldest] = this.#issued;
    this.#issued.delete(oldest!);
    this.#newestForgotten = oldest!;
  }

  /** @returns what does not hold of a device's statement, or null. */
  stated(index: number, event: Statement): string | null {
    const wrong = saysOtherwise(event, { session: event.session, grant: event.grant });
    if (wrong) return wrong;
    if (event.type !== 'session.started' || event.session === null) return null;
    const { credentialId, credential, person } = claimsOf(event.statement) as Readonly<Record<string, string>>;
    if (this.#issued.has(keyOf(credentialId, credential, event.grant ?? '', event.device, person))) return null;
    if (this.#alarmed.has(event.session)) return null;
    if (this.#newestForgotten && !isOlder(this.#newestForgotten, String(credentialId))) this.#passed++;
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

function keyOf(jti: unknown, credential: unknown, grant: string, device: string, person: unknown): string {
  return `${String(jti)} ${String(credential)} ${grant} ${device} ${String(person)}`;
}
