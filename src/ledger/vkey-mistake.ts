import { readRecoveryKey } from './key-recovery.ts';
import { Malformed } from './verdict.ts';
import { parseVkey, type SignatureKind } from './vkey.ts';

/** What keeps a text from being a verifier key of that kind, for whoever wrote it into a configuration; null if nothing. */
export function vkeyMistake(text: string, kind: SignatureKind): string | null {
  try {
    if (parseVkey(text).kind === kind) return null;
    return kind === 'ed25519' ? 'is the key of a witness, not of a ledger' : 'is the key of a ledger, not of a witness';
  } catch (error) {
    if (error instanceof Malformed) return `is no verifier key: ${error.message}`;
    throw error;
  }
}

/** The same for the recovery key of the ledger of that origin. */
export function recoveryKeyMistake(text: string, origin: string): string | null {
  try {
    readRecoveryKey(text, origin);
    return null;
  } catch (error) {
    if (error instanceof Malformed) return `is no recovery key: ${error.message}`;
    throw error;
  }
}
