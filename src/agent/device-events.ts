import { createHash, randomBytes } from 'node:crypto';
import type { CredentialId, GrantId, PersonId, SessionId } from '../domain/ids.ts';
import type { LedgerPlace } from './receipts.ts';
import type { RefusalCode } from './refusal.ts';

/** Why a session ended: what shut the door, or who. */
export type EndCause = RefusalCode | 'closed' | 'agent-stopped';

/**
 * What a device says of what happened at its door, one arm a fact. No arm has room for a name, a secret, an argument or
 * a line of output.
 */
export type DeviceEvent =
  | {
      readonly type: 'session.started';
      readonly session: SessionId;
      readonly grant: GrantId;
      readonly person: PersonId;
      /** base64url SHA-256 of the credential's text, and its `jti`. */
      readonly credential: string;
      readonly credentialId: CredentialId;
      readonly scopes: readonly string[];
      /** Where its receipt says that the credential is in the ledger. */
      readonly receiptIndex: number;
      readonly checkpoint: LedgerPlace['checkpoint'];
    }
  | {
      readonly type: 'session.refused';
      readonly code: RefusalCode;
      readonly grant: GrantId;
      readonly person: PersonId;
    }
  | {
      readonly type: 'action.performed';
      readonly session: SessionId;
      readonly grant: GrantId;
      readonly scope: string;
      /** Null when the action was cut off before it had one. */
      readonly exit: number | null;
      readonly durationMs: number;
      /** Of output, both streams together. */
      readonly bytes: number;
      /** A commitment to the arguments; null when there were none. */
      readonly args: string | null;
    }
  | {
      readonly type: 'session.ended';
      readonly session: SessionId;
      readonly grant: GrantId;
      readonly cause: EndCause;
      /** From the moment it had to end until the moment its last action was gone. */
      readonly lagMs: number;
    };

/** The arguments of an action, by name. */
export type ActionArguments = Readonly<Record<string, string | number | boolean>>;

export interface ArgumentsCommitment {
  /** base64url SHA-256 over the salt's bytes followed by the arguments as RFC 8785 canonical JSON. */
  readonly commitment: string;
  /** base64url of 128 random bits: whoever has it and the arguments can open the commitment. */
  readonly salt: string;
}

/** Commits to the arguments of an action without telling them; null when there are none. */
export function commitToArguments(args: ActionArguments): ArgumentsCommitment | null {
  const names = Object.keys(args).sort();
  if (names.length === 0) return null;
  const salt = randomBytes(16);
  // Of flat objects, RFC 8785 asks no more than members in order.
  const text = JSON.stringify(Object.fromEntries(names.map((name) => [name, args[name]])));
  const commitment = createHash('sha256').update(salt).update(text, 'utf8').digest('base64url');
  return { commitment, salt: salt.toString('base64url') };
}
