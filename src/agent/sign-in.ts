import { randomUUID } from 'node:crypto';
import type { DeviceId } from '../domain/ids.ts';
import { BrokerError, callBroker } from './broker-calls.ts';
import { elapsedSince, machineClocks, mark, type Clocks } from './elapsed.ts';
import type { DeviceKey } from './keys.ts';

/** Gives the agent's Bearer token for calls to the broker. */
export interface SignIn {
  /**
   * A token with at least a minute to live; however many ask at once, the broker is asked once.
   * @throws BrokerError when the broker cannot be reached or no longer knows the device.
   */
  token(): Promise<string>;
  /** Forgets a token that the broker refused, so that the next one is fresh. */
  forget(token: string): void;
}

export interface SignInOptions {
  readonly issuer: string;
  readonly device: DeviceId;
  readonly key: DeviceKey;
  /** Milliseconds since the epoch by the agent's best knowledge: the machine's clock when not given. */
  readonly now?: () => number;
  readonly clocks?: Clocks;
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const spareMs = 60_000;
/** Milliseconds: longer than a crowd of other agents takes, and the broker sends away those who would wait longer. */
const timeout = 20_000;

/** Signs the agent in with its own key (RFC 7523 §2.2, contract §5), again whenever the token is about to run out. */
export function createSignIn({ issuer, device, key, now, clocks = machineClocks }: SignInOptions): SignIn {
  let current: { readonly token: string; readonly isFresh: () => boolean } | null = null;
  let pending: Promise<string> | null = null;

  async function signIn(): Promise<string> {
    const asked = mark(clocks);
    const iat = Math.floor((now ? now() : clocks.wall()) / 1_000);
    const claims = { iss: device, sub: device, aud: issuer, jti: randomUUID(), iat, exp: iat + 30 };
    const assertion = await key.sign('client-authentication+jwt', claims);
    const form = {
      grant_type: 'client_credentials',
      client_assertion_type: assertionType,
      client_assertion: assertion,
    };
    const answer = await callBroker(`${issuer}/oauth2/token`, { method: 'POST', form, timeout });
    const { token, lifeMs } = readAnswer(answer);
    current = { token, isFresh: () => elapsedSince(asked, clocks) < lifeMs - Math.min(spareMs, lifeMs / 2) };
    return token;
  }

  return {
    async token() {
      if (current?.isFresh()) return current.token;
      pending ??= signIn().finally(() => {
        pending = null;
      });
      return pending;
    },
    forget(token) {
      if (current?.token === token) current = null;
    },
  };
}

function readAnswer(answer: unknown): { readonly token: string; readonly lifeMs: number } {
  const { access_token: token, token_type: type, expires_in: life } = (answer ?? {}) as Record<string, unknown>;
  if (typeof token !== 'string' || typeof type !== 'string' || type.toLowerCase() !== 'bearer') {
    throw new BrokerError("the broker's answer to the sign-in holds no Bearer token", null);
  }
  return { token, lifeMs: typeof life === 'number' && life > 0 ? Math.min(life, 3_600) * 1_000 : 60_000 };
}
