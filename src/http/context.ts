import type { BrokerContext } from '../broker/context.ts';
import type { LiveLists } from '../broker/live-lists.ts';
import type { Policies } from '../broker/policies.ts';
import type { RequestWatch } from '../broker/request-watch.ts';
import type { IdentityProviderConfig } from './identity/types.ts';
import type { IdentityVerifier } from './identity/identity-verifier.ts';
import type { createPeople } from '../broker/people.ts';
import type { VaultHealth } from '../credentials/vault.ts';
import type { RateLimit } from './rate-limit.ts';

/** Where the line of each call goes. */
export interface RequestLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A call that was answered, or whose caller is gone. */
export interface AnsweredCall {
  readonly method: string;
  /** The route as the API describes it; null for what is none. */
  readonly route: string | null;
  readonly status: number;
  readonly ms: number;
}

export interface RateLimits {
  readonly person: RateLimit;
  readonly device: RateLimit;
  readonly address: RateLimit;
}

/** What the API stands on. */
export interface HttpContext {
  readonly broker: BrokerContext;
  readonly policies: Policies;
  readonly liveLists: LiveLists;
  readonly requestWatch: RequestWatch;
  readonly people: ReturnType<typeof createPeople>;
  readonly identity: IdentityVerifier;
  readonly identityProviders: readonly IdentityProviderConfig[];
  readonly rateLimits: RateLimits;
  readonly trustedProxies: readonly string[];
  /** How long a body may take to arrive, in seconds. */
  readonly bodyTimeout: number;
  /** False before everything is up and while draining. */
  readonly ready: () => boolean;
  readonly vaultHealth: () => VaultHealth;
  readonly databaseAnswers: () => Promise<boolean>;
  readonly log: RequestLog;
  /** Is told of every call. */
  readonly answered: (call: AnsweredCall) => void;
}
