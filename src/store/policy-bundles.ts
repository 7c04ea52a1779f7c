import { row, type Runner, type Tx } from './transaction.ts';

/** Keeps a policy bundle whole, so that decisions made under it can be made again. */
export async function keepBundle(
  tx: Tx,
  bundle: { readonly digest: string; readonly files: Readonly<Record<string, string>>; readonly at: Date },
): Promise<void> {
  await row<object>(
    tx,
    'keep-bundle',
    `INSERT INTO policy_bundles (digest, files, loaded_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
    [bundle.digest, JSON.stringify(bundle.files), bundle.at],
  );
}

/** Says which bundle is in force now. Of several who say the same, the first is told true: it is news. */
export async function putInForce(tx: Tx, digest: string): Promise<boolean> {
  const found = await row<object>(
    tx,
    'put-in-force',
    `INSERT INTO policy_in_force AS now (digest) VALUES ($1)
     ON CONFLICT (singular) DO UPDATE SET digest = $1 WHERE now.digest <> $1 RETURNING digest`,
    [digest],
  );
  return found !== null;
}

/** The files of a bundle that was once in force; null when it was never kept. */
export async function findBundleFiles(
  runner: Runner,
  digest: string,
): Promise<Readonly<Record<string, string>> | null> {
  const found = await row<{ files: Record<string, string> }>(
    runner,
    'find-bundle-files',
    'SELECT files FROM policy_bundles WHERE digest = $1',
    [digest],
  );
  return found?.files ?? null;
}
