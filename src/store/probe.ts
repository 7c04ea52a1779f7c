import type { Pool } from './pool.ts';
import { databaseNow } from './transaction.ts';

/** How long an answer may take, in milliseconds. */
const soon = 2_000;

/**
 * Whether the database answers soon. One look at a time, however many ask: nobody without a name can keep the database
 * busy.
 */
export function createProbe(pool: Pool): () => Promise<boolean> {
  let looking: Promise<boolean> | null = null;
  return () =>
    (looking ??= answersSoon(pool).finally(() => {
      looking = null;
    }));
}

async function answersSoon(pool: Pool): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), soon);
  });
  try {
    return await Promise.race([databaseNow(pool).then(() => true), tooLate]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
