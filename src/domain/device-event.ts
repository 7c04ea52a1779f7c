import type { localAdmin } from './local-admin.ts';
import type { CredentialId, GrantId, PersonId, SessionId } from './ids.ts';
import { refusalCodes, type RefusalCode } from './refusal-code.ts';

/**
 * Every cause for which a session ends: what shut the door, or who. `closed` by its holder, `agent-stopped` with the
 * agent, `agent-died` found at the agent's next start, `unenrolled` with the device.
 */
export const endCauses = [...refusalCodes, 'closed', 'agent-stopped', 'agent-died', 'unenrolled'] as const;

export type EndCause = RefusalCode | 'closed' | 'agent-stopped' | 'agent-died' | 'unenrolled';

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
      /** Where its receipt says that the credential is in the ledger, and in which tree; the root is base64url. */
      readonly receiptIndex: number;
      readonly checkpoint: { readonly size: number; readonly root: string };
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
      /** The account has the password of that generation; see `secret.prepared` in the ledger. */
      readonly type: 'secret.rotated';
      readonly secret: typeof localAdmin;
      readonly generation: number;
    }
  | {
      readonly type: 'session.ended';
      readonly session: SessionId;
      readonly grant: GrantId;
      readonly cause: EndCause;
      /**
       * From the moment it had to end until the moment its last action was gone. Of an agent that died, the longest it
       * can have been: from the last thing that it wrote down until its next start.
       */
      readonly lagMs: number;
    };

export type DeviceEventType = DeviceEvent['type'];
