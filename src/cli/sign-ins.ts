import type { ConfigDirectory } from './config-directory.ts';
import { Failure } from './failure.ts';
import { readAddress } from './addresses.ts';
import { relativeTime } from './text/time-words.ts';

const file = 'sign-ins.json';

/** What `login` brought back from one broker's identity provider. */
export interface SignIn {
  readonly issuer: string;
  readonly token: string;
  /** RFC 3339. */
  readonly expiresAt: string;
}

/** Sign-ins by broker, since each region has its own; `current` is the one meant when none is named. */
export interface SignIns {
  readonly current: string | null;
  readonly brokers: Readonly<Record<string, SignIn>>;
}

/** Who to talk to and with which token. */
export interface Access {
  readonly url: string;
  readonly token: string;
  /** Null when the token came from `LATCHKEY_TOKEN`. */
  readonly expiresAt: string | null;
}

export async function readSignIns(directory: ConfigDirectory): Promise<SignIns> {
  const text = await directory.read(file);
  if (text === null) return { current: null, brokers: {} };
  try {
    const { current, brokers } = JSON.parse(text) as SignIns;
    return { current: current ?? null, brokers: brokers ?? {} };
  } catch (cause) {
    throw new Failure('failed', `\`${directory.path}/${file}\` is not JSON`, {
      hint: 'remove it and sign in again with `latchkey login URL`',
      cause,
    });
  }
}

export async function saveSignIn(directory: ConfigDirectory, url: string, signIn: SignIn): Promise<void> {
  const { brokers } = await readSignIns(directory);
  await write(directory, { current: url, brokers: { ...brokers, [url]: signIn } });
}

/** Forgets the token of one broker, or of all. Returns the brokers that were forgotten. */
export async function forgetSignIns(directory: ConfigDirectory, url: string | null): Promise<readonly string[]> {
  const { current, brokers } = await readSignIns(directory);
  const gone = Object.keys(brokers).filter((broker) => url === null || broker === url);
  const left = Object.entries(brokers).filter(([broker]) => !gone.includes(broker));
  if (gone.length > 0) await write(directory, { current, brokers: Object.fromEntries(left) });
  return gone;
}

/** The broker's address: `LATCHKEY_URL`, else the one last signed in to. */
export function brokerUrl(signIns: SignIns, env: Readonly<Record<string, string | undefined>>): string {
  const url = env.LATCHKEY_URL || signIns.current;
  if (!url) {
    throw new Failure('signed-out', 'you are not signed in to any broker', {
      hint: 'sign in with `latchkey login https://…`',
    });
  }
  return readAddress(url, 'the broker');
}

/**
 * The token for the broker. INVARIANT: a saved token goes to the broker it was saved for and to no other, whatever
 * `LATCHKEY_URL` says; only `LATCHKEY_TOKEN` goes wherever its owner points it.
 */
export function accessFor(signIns: SignIns, env: Readonly<Record<string, string | undefined>>, now: number): Access {
  const url = brokerUrl(signIns, env);
  if (env.LATCHKEY_TOKEN) return { url, token: env.LATCHKEY_TOKEN.trim(), expiresAt: null };
  const signIn = Object.hasOwn(signIns.brokers, url) ? signIns.brokers[url] : undefined;
  const hint = `sign in with \`latchkey login ${url}\``;
  if (!signIn) throw new Failure('signed-out', `you are not signed in to \`${url}\``, { hint });
  if (Date.parse(signIn.expiresAt) <= now) {
    throw new Failure('signed-out', `your sign-in ran out ${relativeTime(signIn.expiresAt, now)}`, { hint });
  }
  return { url, token: signIn.token, expiresAt: signIn.expiresAt };
}

async function write(directory: ConfigDirectory, signIns: SignIns): Promise<void> {
  await directory.write(file, `${JSON.stringify(signIns, null, 2)}\n`);
}
