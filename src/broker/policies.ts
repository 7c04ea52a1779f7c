import { readdirSync, watch, type FSWatcher } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { canonicalJson } from '../ledger/canonical.ts';
import { broker } from '../ledger/events.ts';
import { loadBundle, type Bundle, type LoadedBundle, type Mistake } from '../policy/index.ts';
import { keepBundle, putInForce } from '../store/policy-bundles.ts';
import { databaseNow } from '../store/transaction.ts';
import { runCommand, type CommandContext } from './command.ts';
import type { Log } from './context.ts';

export interface PolicyStatus {
  readonly digest: string;
  readonly loadedAt: Date;
  /** Why the newest state of the directory is not in force; null when it is. */
  readonly error: string | null;
}

/** The bundle in force. A broken replacement is refused loudly, and the last good one stays. */
export interface Policies {
  readonly current: () => Bundle;
  readonly status: () => PolicyStatus;
  /** Looks at the directory now. */
  reload(): Promise<void>;
  /** Is told of every bundle that comes into force, before it does: if it cannot be recorded it does not. */
  onLoad(record: (bundle: Bundle) => Promise<void>): Promise<void>;
  close(): void;
}

const settleAfter = 150;
const lookEvery = 10_000;

/**
 * Loads the bundle of a directory and keeps an eye on it.
 * @throws PolicyError when the first bundle is broken: a broker without policies does not start.
 */
export async function openPolicies(directory: string, log: Log): Promise<Policies> {
  const texts = await readPolicyFiles(directory);
  const first = judge(texts);
  if (!first.ok) throw new PolicyError(first.mistakes);
  let bundle = first.bundle;
  let loadedAt = new Date();
  let error: string | null = null;
  let record: (bundle: Bundle) => Promise<void> = async () => {};
  let running: Promise<void> | null = null;
  // What was judged last. Judging takes a good part of a second, in which nobody else is served.
  let judged: ReadonlyMap<string, string> | null = texts;

  const look = async (): Promise<void> => {
    try {
      const texts = await readPolicyFiles(directory);
      if (judged && areEqual(judged, texts)) return;
      const next = judge(texts);
      judged = texts;
      if (!next.ok) throw new PolicyError(next.mistakes);
      if (next.bundle.digest !== bundle.digest) {
        await record(next.bundle);
        bundle = next.bundle;
        loadedAt = new Date();
        log.info({ digest: bundle.digest }, 'policy bundle replaced');
      }
      error = null;
    } catch (failure) {
      // What could not be read, or not be recorded, is tried again.
      if (!(failure instanceof PolicyError)) judged = null;
      const message = failure instanceof Error ? failure.message : String(failure);
      if (message !== error) {
        log.error({ error: message, kept: bundle.digest }, 'policy bundle refused: the last good one stays');
      }
      error = message;
    }
  };
  const reload = (): Promise<void> => (running ??= look().finally(() => (running = null)));

  let settle: NodeJS.Timeout | undefined;
  const watcher = watchTree(directory, () => {
    clearTimeout(settle);
    settle = setTimeout(() => void reload(), settleAfter);
  });
  const regularly = setInterval(() => void reload(), lookEvery);
  regularly.unref();
  return {
    current: () => bundle,
    status: () => ({ digest: bundle.digest, loadedAt, error }),
    reload,
    async onLoad(recorder) {
      record = recorder;
      await record(bundle);
    },
    close() {
      clearTimeout(settle);
      clearInterval(regularly);
      watcher.close();
    },
  };
}

const good = new Map<string, Bundle>();
const goodAtMost = 4;

/** As `loadBundle`, remembering a few good ones: what is taken back is in force again without being judged anew. */
function judge(texts: ReadonlyMap<string, string>): LoadedBundle {
  const key = canonicalJson(Object.fromEntries(texts));
  const known = good.get(key);
  if (known) return { ok: true, bundle: known };
  const loaded = loadBundle(texts);
  if (!loaded.ok) return loaded;
  good.set(key, loaded.bundle);
  if (good.size > goodAtMost) good.delete(good.keys().next().value!);
  return loaded;
}

/**
 * Keeps a bundle whole, and says in the ledger that it came into force, unless it is the one that did so last: brokers
 * that load the same replacement make one fact of it.
 */
export async function recordBundle(context: CommandContext, bundle: Bundle): Promise<void> {
  await runCommand(context, { actor: broker }, async (tx, journal) => {
    const at = await databaseNow(tx);
    const files = Object.fromEntries(bundle.files);
    await keepBundle(tx, { digest: bundle.digest, files, at });
    if (await putInForce(tx, bundle.digest)) {
      journal.fact(at, null, { type: 'policy.loaded', policy: bundle.digest });
    }
  });
}

/** Every mistake of a bundle, one a line. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  constructor(mistakes: readonly Mistake[]) {
    super(mistakes.map((m) => `${m.file}:${m.line}:${m.column}: ${m.message}`).join('\n'));
  }
}

/** The texts of a directory's files by their path below it, with `/` whatever the system. */
export async function readPolicyFiles(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(
    paths.map(async (path) => [relative(directory, path).replaceAll(sep, '/'), await readFile(path, 'utf8')] as const),
  );
  return new Map(texts);
}

function areEqual(one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean {
  return one.size === other.size && [...one].every(([path, text]) => other.get(path) === text);
}

/**
 * Watches a directory and those below it. Each has a watcher of its own: Node's recursive one loses a file that was
 * replaced by renaming, as editors do. Watching is a hint, and not everywhere to be had; the regular look finds what it
 * misses.
 */
function watchTree(root: string, changed: () => void): { close(): void } {
  const watchers = new Map<string, FSWatcher>();
  const arm = (): void => {
    const present = directoriesOf(root);
    for (const [directory, watcher] of watchers) {
      if (present.includes(directory)) continue;
      watcher.close();
      watchers.delete(directory);
    }
    for (const directory of present.filter((each) => !watchers.has(each))) {
      try {
        watchers.set(
          directory,
          watch(directory, { persistent: false }, seen).on('error', () => {}),
        );
      } catch {
        // Gone again, or too many are watched on this machine.
      }
    }
  };
  const seen = (): void => {
    arm();
    changed();
  };
  arm();
  return {
    close() {
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}

function directoriesOf(root: string): string[] {
  try {
    const below = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [root, ...below.map((entry) => join(entry.parentPath, entry.name))];
  } catch {
    return [];
  }
}
