import type { Vault } from '../credentials/vault.ts';
import { broker } from '../ledger/events.ts';
import { databaseNow } from '../store/transaction.ts';
import { runCommand, type CommandContext } from './command.ts';
import { findRollback, moveMarkBack, type Rollback } from './high-water.ts';

/**
 * Takes the database as it is, although it has lost what was signed: an operator's word, and itself a fact. Brokers
 * that refused to sign go on from there.
 * @returns what is lost, or null when nothing is: then nothing was done.
 */
export async function acceptRollback(context: CommandContext, vault: Vault): Promise<Rollback | null> {
  const lost = await findRollback(vault, context.pool);
  if (!lost) return null;
  await runCommand(context, { actor: broker }, async (tx, journal) => {
    journal.fact(await databaseNow(tx), null, { type: 'ledger.rollback-accepted', ...lost });
  });
  // If we stop here, the fact is written and the mark stands: brokers go on refusing, and the command is run again.
  await moveMarkBack(vault, context.pool);
  return lost;
}
