import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The URL of the broker's role of an embedded PostgreSQL that runs. @throws when none does. */
export async function embeddedUrl(directory: string): Promise<string> {
  const file = join(directory, 'urls.json');
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`\`${file}\` cannot be read (${cause.code ?? cause.message}): start the broker first`, { cause });
  });
  return (JSON.parse(text) as { readonly app: string }).app;
}
