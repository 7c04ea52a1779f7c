/** Which claim of a provider's tokens says what. Names are literal keys: a dot or a slash in one means nothing. */
export interface ClaimNames {
  /** What the provider never gives to someone else: no e-mail address, no user principal name. */
  readonly subject: string;
  readonly name?: string;
  readonly email?: string;
  readonly teams?: string;
  readonly region?: string;
  readonly employer?: string;
  readonly trainingValidUntil?: string;
  /** What several accounts of one human have in common, such as a personnel number. */
  readonly human?: string;
}

/** One OpenID provider and all that is believed of it. */
export interface IdentityProviderConfig {
  readonly issuer: string;
  /** What `aud` must hold. */
  readonly audience: string;
  readonly claims: ClaimNames;
  /** The teams this provider may name; absent means none. */
  readonly allowedTeams?: readonly string[];
  /** The employers this provider may name; absent means none. */
  readonly allowedEmployers?: readonly string[];
  /** Claim value → team, for providers that send ids. Where it is given, a value that it does not list names no team. */
  readonly teamNames?: Readonly<Record<string, string>>;
  /** The only client ids whose tokens are accepted. */
  readonly clients?: readonly string[];
  /** Seconds since `iat` after which a token is not accepted any more; an hour by default. */
  readonly maxTokenAge?: number;
  /** Where the keys are, for a provider that keeps them on another origin; then discovery is not asked. */
  readonly jwksUri?: string;
  /** True for a provider whose name leads to a private network; otherwise such an address is not called. */
  readonly privateNetwork?: boolean;
}

/** Someone a provider vouches for, as far as it is believed. Null and empty satisfy no rule. */
export interface VerifiedPerson {
  readonly issuer: string;
  readonly subject: string;
  readonly name: string | null;
  /** As the provider gave it, without the space around it. */
  readonly email: string | null;
  /** The form in which two addresses are compared. */
  readonly emailFolded: string | null;
  readonly human: string | null;
  readonly teams: readonly string[];
  readonly employer: string | null;
  readonly region: string | null;
  /** RFC 3339 in UTC. */
  readonly trainingValidUntil: string | null;
  /** Seconds since the epoch. */
  readonly issuedAt: number;
  /** Seconds since the epoch at which this token stops being accepted: its `exp`, or its greatest age if that is earlier. */
  readonly expiresAt: number;
  readonly clientId: string | null;
  /** base64url SHA-256 of the token's text. */
  readonly tokenHash: string;
}

/** What identity writes to the log; pino's logger is one. */
export interface IdentityLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}
