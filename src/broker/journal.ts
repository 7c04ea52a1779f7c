import { isId, newId, type DeviceId, type GrantId, type PersonId, type TenantId } from '../domain/ids.ts';
import { randomBytes } from '../domain/random.ts';
import { canonicalJson, commit } from '../ledger/canonical.ts';
import {
  eventOf,
  type Actor,
  type Commitment,
  type DecisionRecord,
  type Fact,
  type LedgerEvent,
} from '../ledger/events.ts';
import type { Decision } from '../policy/question.ts';
import { insertAlarm, closeAlarms } from '../store/alarms.ts';
import { appendEvents, type Disclosure } from '../store/events.ts';
import { insertNotices, type Notice, type NoticeKind } from '../store/notices.ts';
import type { Tx } from '../store/transaction.ts';

/**
 * Gathers what a transaction will have made true, and writes it before the commit: events with the texts they commit
 * to, and notices. Nothing of it exists unless the state it tells of does.
 */
export class Journal {
  readonly #region: string;
  readonly actor: Actor;
  readonly #events: LedgerEvent[] = [];
  readonly #disclosures: Disclosure[] = [];
  readonly #notices: Notice[] = [];
  readonly #afterCommit: (() => void)[] = [];

  constructor(region: string, actor: Actor) {
    this.#region = region;
    this.actor = actor;
  }

  /** Adds a fact that became true at that moment of the database's clock. */
  fact(at: Date, tenant: TenantId | null, fact: Fact, actor: Actor = this.actor): LedgerEvent {
    const event = eventOf(fact, { at, region: this.#region, tenant, actor });
    this.#events.push(event);
    return event;
  }

  /**
   * Commits to somebody's words; the words are kept beside the ledger, to be erased with that person.
   * @param of whom or which device they are about, if others: erasing those erases them as well.
   */
  text<T extends string | null>(
    value: T,
    person: PersonId,
    of: { readonly about?: PersonId; readonly device?: DeviceId | null } = {},
  ): T extends null ? null : Commitment {
    type Result = T extends null ? null : Commitment;
    if (value === null) return null as Result;
    const salt = randomBytes(16);
    const commitment = commit(salt, value);
    const { about = null, device = null } = of;
    this.#disclosures.push({ commitment, salt, value, person, about, device });
    return commitment as Result;
  }

  /** What the ledger says of a policy decision; its inputs are committed to and kept beside it. */
  decision(decision: Decision, person: PersonId): DecisionRecord {
    const inputs = this.text(canonicalJson(decision.inputs), person, { device: deviceIn(decision) });
    return { policy: decision.digest, policies: decision.policies, inputs };
  }

  /** Tells one person, or everyone of a team. */
  notice(at: Date, to: { person: PersonId } | { team: string }, kind: NoticeKind, subject: string): void {
    const id = newId('notice', at.getTime());
    this.#notices.push({ id, person: null, team: null, ...to, kind, subject, at });
  }

  /**
   * Raises an alarm, unless one of that kind is open for the subject already.
   * @param grant that it is over, where that is not the subject.
   */
  async raise(
    tx: Tx,
    at: Date,
    kind: string,
    subject: string,
    tenant: TenantId | null,
    grant: GrantId | null = null,
  ): Promise<void> {
    const alarm = { id: newId('alarm', at.getTime()), kind, subject, tenant, grant, since: at };
    if (await insertAlarm(tx, alarm)) {
      this.fact(at, tenant, { type: 'alarm.raised', alarm: alarm.id, kind, subject });
    }
  }

  /** Closes what is open of these kinds for the subject. */
  async close(tx: Tx, at: Date, kinds: readonly string[], subject: string): Promise<void> {
    for (const alarm of await closeAlarms(tx, kinds, subject, at)) {
      this.fact(at, alarm.tenant, { type: 'alarm.closed', alarm: alarm.id });
    }
  }

  /** Leaves a hint for after the commit. */
  afterCommit(hint: () => void): void {
    this.#afterCommit.push(hint);
  }

  /** Writes what has been gathered since the last time: at the end, and before an answer reads back what was said. */
  write(tx: Tx): void {
    const notices = this.#notices.splice(0);
    const events = this.#events.splice(0);
    const disclosures = this.#disclosures.splice(0);
    if (notices.length > 0) insertNotices(tx, notices);
    if (events.length > 0) appendEvents(tx, events, disclosures);
  }

  committed(): void {
    for (const hint of this.#afterCommit) hint();
  }
}

/** The device that a decision was about, whose facts are among its inputs. */
function deviceIn({ inputs }: Decision): DeviceId | null {
  const { resource } = inputs as { readonly resource?: { readonly type: string; readonly id: string } };
  return resource?.type === 'Device' && isId('device', resource.id) ? resource.id : null;
}
