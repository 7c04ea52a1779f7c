import { broker } from '../ledger/events.ts';
import { firstId } from '../domain/ids.ts';
import { forgetExpired } from '../store/credentials.ts';
import { forgetStatements } from '../store/device-statements.ts';
import { ensureAuditPartitions } from '../store/events.ts';
import { expireDue, findOverdueReviews, lapseDue, lockDueToStart } from '../store/due.ts';
import { recordStart } from '../store/grant-changes.ts';
import { raiseLiveVersions } from '../store/live-grants.ts';
import { findDevices } from '../store/devices.ts';
import { eraseLateDisclosures } from '../store/disclosures.ts';
import { forgetEarlyEnds, takeUnconfirmed } from '../store/session-ends.ts';
import { databaseNow } from '../store/transaction.ts';
import { runCommand } from './command.ts';
import type { BrokerContext } from './context.ts';
import { revokeByBroker } from './end-grant.ts';
import { beginGrant, tellOfBreakGlass, tellTeams } from './make-grant.ts';
import { lastKnown } from './people.ts';
import { orderRotations, raiseOverdueRotations } from './rotate-secrets.ts';
import { longestWait, unconfirmedAlarm } from './record-device-events.ts';
import { decideUse } from './request-access.ts';

/** How many of one kind a transaction takes: large enough to catch up, small enough to hold nobody up for long. */
const batch = 2_000;

/**
 * Records what the clock has brought about: grants that begin, end, passwords that are to follow them, requests that lapse,
 * reviews that are overdue. The clock has already decided; this only writes it down, in batches, whichever broker gets there first. Run again until
 * it returns 0.
 */
export async function recordWhatIsDue(context: BrokerContext): Promise<number> {
  const ended = await recordExpiries(context);
  const begun = await beginDue(context);
  const ordered = await orderRotations(context, batch);
  return ended + begun + ordered + (await recordLapses(context)) + (await raiseOverdueReviews(context));
}

async function recordExpiries(context: BrokerContext): Promise<number> {
  return runCommand(context, { actor: broker }, async (tx, journal) => {
    const ended = await expireDue(tx, batch);
    if (ended.length === 0) return 0;
    const devices = ended.flatMap((grant) => grant.devices);
    raiseLiveVersions(tx, devices);
    for (const grant of ended) {
      const expiresAt = grant.expiresAt.toISOString();
      journal.fact(grant.now, grant.tenant, { type: 'grant.expired', grant: grant.id, expiresAt });
    }
    journal.afterCommit(() => context.hints.devicesChanged(devices));
    return ended.length;
  });
}

/** Begins one scheduled grant after another, asking policy again; a no revokes it. */
async function beginDue(context: BrokerContext): Promise<number> {
  let begun = 0;
  while (begun < batch && (await beginOne(context))) begun++;
  return begun;
}

async function beginOne(context: BrokerContext): Promise<boolean> {
  return runCommand(context, { actor: broker }, async (tx, journal) => {
    const due = await lockDueToStart(tx);
    if (!due) return false;
    const { now, duration } = due;
    // It may have run out since it was looked for: then its end is what there is to record.
    if (due.grant.state !== 'active') return true;
    const { grant } = due;
    const profile = context.policy().profiles.get(grant.profile);
    const person = await lastKnown(tx, grant.person);
    const devices = await findDevices(tx, grant.devices);
    const wish = { duration };
    const decisions = profile
      ? await decideUse(context, tx, person, { action: 'start', profile, devices, wish, now })
      : [];
    const recorded = decisions.map((decision) => journal.decision(decision, grant.person));
    const refused = decisions.findIndex((decision) => !decision.allowed);
    if (profile && refused < 0) {
      await recordStart(tx, grant.id, now);
      await beginGrant(context, tx, journal, grant, recorded, now);
      if (grant.review) await tellOfBreakGlass(tx, journal, grant, profile, now);
      return true;
    }
    const note = decisions[refused]?.reasons[0]?.message ?? `the profile \`${grant.profile}\` is no longer offered`;
    await revokeByBroker(
      context,
      tx,
      journal,
      grant,
      { cause: 'policy', note, decision: recorded[refused] ?? null },
      now,
    );
    return true;
  });
}

async function recordLapses(context: BrokerContext): Promise<number> {
  return runCommand(context, { actor: broker }, async (tx, journal) => {
    const lapsed = await lapseDue(tx, batch);
    for (const request of lapsed) {
      journal.fact(request.now, request.tenant, { type: 'request.lapsed', request: request.id });
      journal.afterCommit(() => context.hints.requestChanged(request.id));
    }
    return lapsed.length;
  });
}

async function raiseOverdueReviews(context: BrokerContext): Promise<number> {
  return runCommand(context, { actor: broker }, async (tx, journal) => {
    const overdue = await findOverdueReviews(tx, batch);
    for (const { id, tenant, person, profile, now } of overdue) {
      await journal.raise(tx, now, 'review-overdue', id, tenant);
      journal.notice(now, { person }, 'review-overdue', id);
      const tells = context.policy().profiles.get(profile)?.tells ?? [];
      await tellTeams(tx, journal, 'review-overdue', { id, tenant }, tells, now);
    }
    return overdue.length;
  });
}

/** How long a device may take to confirm that a session has ended, in seconds. */
const confirmWithin = 60;

/**
 * Raises an alarm over each session that should have ended and that its device has not called ended for a minute. Its
 * confirmation closes it. Any number of brokers may watch: each session is one's.
 */
export async function raiseUnconfirmed(context: BrokerContext): Promise<number> {
  return runCommand(context, { actor: broker }, async (tx, journal) => {
    const late = await takeUnconfirmed(tx, confirmWithin, batch);
    for (const { id, tenant, now } of late) await journal.raise(tx, now, unconfirmedAlarm, id, tenant);
    return late.length;
  });
}

/** Raises the alarms over what devices should have confirmed by now. */
export async function raiseWhatIsOverdue(context: BrokerContext): Promise<void> {
  await raiseUnconfirmed(context);
  await raiseOverdueRotations(context, batch);
}

/** A day longer than a statement is taken for. */
const rememberFor = longestWait + 86_400_000;
/** What is recorded waits meanwhile, so that a long backlog is forgotten over several rounds. */
const forgetAtOnce = 20_000;

async function forgetCounted(context: BrokerContext): Promise<void> {
  const before = (await databaseNow(context.pool)).getTime() - rememberFor;
  await forgetStatements(context.pool, firstId('event', before), forgetAtOnce);
  await forgetEarlyEnds(context.pool, new Date(before));
}

/** Housekeeping that nothing waits for: coming months' partitions, and forgetting what is too old to matter. */
export async function tidy(context: BrokerContext): Promise<void> {
  const made = await ensureAuditPartitions(context.pool);
  if (made > 0) context.log.info({ made }, 'made partitions for the coming months');
  await forgetExpired(context.pool);
  await forgetCounted(context);
  await eraseLateDisclosures(context.pool);
}
