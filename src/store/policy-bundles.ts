import { row, type Runner, type Tx } from './transaction.ts';

/** Keeps a policy bundle whole, so that decisions made under it can be made again. @returns false when it was kept. */
export async function keepBundle(
  tx: Tx,
  bundle: { readonly digest: string; readonly files: Readonly<Record<string, string>>; readonly at: Date },
): Promise<boolean> {
  const found = await row<object>(
    tx,
    'keep-bundle',
    `INSERT INTO policy_bundles (digest, files, loaded_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING digest`,
    [bundle.digest, JSON.stringify(bundle.files), bundle.at],
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
