import { setTimeout as sleep } from 'node:timers/promises';
import { CompactJweError } from '../domain/compact-jwe.ts';
import { localAdmin } from '../domain/local-admin.ts';
import { BrokerError, callBroker } from './broker-calls.ts';
import type { LiveGrants } from './live-grants.ts';
import { LocalSecretError, openLocalSecret, type LocalSecretTrust } from './local-secret.ts';
import type { Reporter } from './report.ts';
import type { SignIn } from './sign-in.ts';
import { readState, StateError, writeState } from './state-directory.ts';
import { withToken } from './watch-live-grants.ts';

/** The account whose password the agent looks after. */
export interface LocalAdministrator {
  /**
   * Gives the account this password, whatever it had. May be called again with the same one. The password is for nobody's
   * log, command line or environment; neither is what an error says.
   */
  readonly setPassword: (password: string) => Promise<void>;
}

export interface PasswordKeeperOptions extends LocalSecretTrust, LocalAdministrator {
  readonly signIn: SignIn;
  readonly liveGrants: LiveGrants;
  readonly reporter: Pick<Reporter, 'report'>;
  readonly stateDirectory: string;
  /** Told what happens; never a password. */
  readonly log?: (message: string, details?: Readonly<Record<string, unknown>>) => void;
  /** Milliseconds before the second try, and at most; each try doubles them. */
  readonly pause?: { readonly first: number; readonly longest: number };
}

export interface PasswordKeeper {
  /** Waits for what is being set, and sets no more. */
  stop(): Promise<void>;
}

const fileName = 'local-admin.json';
const usualPause = { first: 1_000, longest: 60_000 };

/**
 * Keeps the local administrator's password as the broker wants it. Which generation is wanted stands in every list of
 * live grants, so no message can be missed: when it is not the one that the account has, the password is fetched, held
 * against its receipt, set, written down that it is, and told, in that order.
 *
 * If the agent stops after fetching, or after setting, the next start fetches the same and sets it again; if it stops
 * before the broker has heard, the list says so and it is told again. INVARIANT: the vault has a password before the
 * agent does.
 * @throws StateError when it cannot be read which password the account has.
 */
export async function keepPassword(options: PasswordKeeperOptions): Promise<PasswordKeeper> {
  const { issuer, signIn, liveGrants, reporter, stateDirectory, log = () => undefined } = options;
  const { pause = usualPause } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let have = readGeneration(await readState(stateDirectory, fileName));
  let told = 0;
  let running: Promise<void> | null = null;
  const isStopping = () => signal.aborted;

  /** True while the account has another password than the one wanted, as far as anybody has said. */
  function isBehind(): boolean {
    const list = liveGrants.current();
    return list !== null && list.localAdmin?.wanted !== have;
  }

  async function bringUp(): Promise<void> {
    const call = { method: 'POST', json: { have }, signal } as const;
    const url = `${issuer}/v1/agent/secrets/${localAdmin}`;
    const answer = await withToken(signIn, (bearer) => callBroker(url, { ...call, bearer, timeout: 15_000 }));
    const { generation, password } = await openLocalSecret((answer as { secret?: unknown } | null)?.secret, options);
    // INVARIANT: never back to a password that somebody may still know.
    if (generation < have) throw new LocalSecretError('the broker offers a password that was replaced');
    // The list that said so was older than the broker is now.
    if (generation === have) return;
    await options.setPassword(password);
    await writeState(stateDirectory, fileName, { generation });
    have = generation;
    log('the local administrator has a new password', { generation });
  }

  function tell(): void {
    const confirmed = liveGrants.current()?.localAdmin?.confirmed;
    if (have === 0 || told === have || (confirmed !== undefined && confirmed >= have)) return;
    told = have;
    const generation = have;
    void Promise.resolve(reporter.report({ type: 'secret.rotated', secret: localAdmin, generation })).catch(() => {
      // What cannot be taken to be told now is told at a later list.
      if (told === generation) told = 0;
    });
  }

  async function run(): Promise<void> {
    for (let wait = pause.first; isBehind() && !isStopping(); wait = Math.min(wait * 2, pause.longest)) {
      const before = have;
      try {
        await bringUp();
        tell();
        if (have !== before) return;
      } catch (error) {
        if (isStopping()) return;
        log('the local administrator has no new password', { why: wordsOf(error) });
      }
      await sleep(wait * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Each list is looked at; while something is being set, what comes of it is enough. */
  function look(): void {
    if (isStopping()) return;
    if (!isBehind()) tell();
    else running ??= run().finally(() => (running = null));
  }

  const ignore = liveGrants.onChange(look);
  look();
  return {
    async stop() {
      ignore();
      stopping.abort();
      await running;
    },
  };
}

function readGeneration(value: unknown): number {
  if (value === null) return 0;
  const { generation } = value as { readonly generation?: unknown };
  if (Number.isSafeInteger(generation) && (generation as number) > 0) return generation as number;
  throw new StateError(`\`${fileName}\` does not say which password the local administrator has; remove it`);
}

/** Errors of others may quote what they were given; only those that are known not to are told. */
function wordsOf(error: unknown): string {
  const isOurs = error instanceof BrokerError || error instanceof LocalSecretError || error instanceof CompactJweError;
  if (isOurs || error instanceof PasswordNotSet) return error.message;
  return error instanceof Error ? error.name : 'unknown';
}

/** Why an account could not be given its password: words that are known to hold nothing of it. */
export class PasswordNotSet extends Error {
  override readonly name = 'PasswordNotSet';
}
