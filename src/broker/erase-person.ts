import { LatchkeyError } from '../domain/errors.ts';
import type { PersonId } from '../domain/ids.ts';
import { aliasesOf, erasePerson, findPerson, hasUnfinishedBusiness, linkPersons } from '../store/persons.ts';
import { databaseNow, type Tx } from '../store/transaction.ts';
import { requireAdministrator } from './administer.ts';
import { RecordedRefusal } from './command.ts';
import type { BrokerContext, Caller } from './context.ts';
import type { Journal } from './journal.ts';

const ownErasure = new LatchkeyError('not-permitted', 'nobody erases themselves', {
  reasons: [
    { policy: 'erased-by-another', message: 'nobody erases themselves', remedy: 'have another operator do it' },
  ],
});

/**
 * Erases what is known of a person: names, addresses, their words and those of others about them, and what decisions
 * saw of them. What happened stays, told of an id. Accounts that counted as the same human go on doing so: they are
 * linked by id before the addresses go by which one knew. Erasing again changes nothing.
 * @throws not-permitted, recorded, also for oneself; not-found; conflict while the person has a request pending, a
 *   grant that has not ended, or a review due: who holds access must be known to those who may end it.
 */
export async function forgetPerson(
  context: BrokerContext,
  tx: Tx,
  journal: Journal,
  caller: Caller,
  id: PersonId,
): Promise<void> {
  const now = await databaseNow(tx);
  await requireAdministrator(context, journal, caller, 'manage-tenants', null, now);
  if (!(await findPerson(tx, id))) throw new LatchkeyError('not-found', 'there is no such person');
  const aliases = await aliasesOf(tx, id);
  if (aliases.has(caller.id)) {
    const refused = { type: 'request.refused', action: 'erase-person', subject: id, profile: null } as const;
    journal.fact(now, null, { ...refused, devices: [], decisions: [] });
    throw new RecordedRefusal(ownErasure);
  }
  if (await hasUnfinishedBusiness(tx, id)) {
    throw new LatchkeyError(
      'conflict',
      'the person has a request pending, a grant that has not ended, or a review due: end that first',
    );
  }
  for (const other of aliases) {
    if (other === id || !(await linkPersons(tx, id, other, caller.id))) continue;
    journal.fact(now, null, { type: 'person.linked', person: id, other });
  }
  if (await erasePerson(tx, id, now)) journal.fact(now, null, { type: 'person.erased', person: id });
}
