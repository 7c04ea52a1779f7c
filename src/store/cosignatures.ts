import { row, rows, type Runner } from './transaction.ts';

/** A checkpoint, and what witnesses have put under it. */
export interface Cosigned {
  readonly size: number;
  /** As the ledger signed it. */
  readonly checkpoint: string;
  /** Signature lines, each with its newline. */
  readonly lines: readonly string[];
}

const keptSizes = 100;

/** Keeps what a witness has cosigned, for all brokers, and lets go of what lies far back. */
export async function keepCosignature(
  runner: Runner,
  cosigned: { readonly size: number; readonly checkpoint: string; readonly witness: string; readonly line: string },
): Promise<void> {
  await rows(
    runner,
    'keep-cosignature',
    `WITH forgotten AS (
       DELETE FROM ledger_cosignatures WHERE size <
         (SELECT size FROM ledger_cosignatures GROUP BY size ORDER BY size DESC OFFSET ${keptSizes} LIMIT 1)
     )
     INSERT INTO ledger_cosignatures (size, witness, checkpoint, line) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
    [cosigned.size, cosigned.witness, cosigned.checkpoint, cosigned.line],
  );
}

/** The largest tree beyond `position` that at least `needed` of these witnesses have cosigned; null when none is. */
export async function findCosigned(
  runner: Runner,
  wanted: { readonly position: number; readonly witnesses: readonly string[]; readonly needed: number },
): Promise<Cosigned | null> {
  return row<Cosigned>(
    runner,
    'find-cosigned',
    `SELECT size, checkpoint, array_agg(line ORDER BY witness) AS lines FROM ledger_cosignatures
     WHERE size > $1 AND witness = ANY ($2) GROUP BY size, checkpoint HAVING count(*) >= $3
     ORDER BY size DESC LIMIT 1`,
    [wanted.position, wanted.witnesses, wanted.needed],
  );
}

/** What witnesses have put under this checkpoint, whoever else has signed it since. */
export async function findCosignatures(
  runner: Runner,
  { size, checkpoint }: { readonly size: number; readonly checkpoint: string },
): Promise<string[]> {
  const found = await rows<{ line: string }>(
    runner,
    'find-cosignatures',
    `SELECT line FROM ledger_cosignatures WHERE size = $1
       AND split_part(checkpoint, E'\n\n', 1) = split_part($2, E'\n\n', 1) ORDER BY witness`,
    [size, checkpoint],
  );
  return found.map(({ line }) => line);
}
