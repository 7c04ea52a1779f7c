import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { newId } from '../../src/domain/ids.ts';
import { canonicalJson } from '../../src/ledger/canonical.ts';
import { signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { broker } from '../../src/ledger/events.ts';
import { readLedgerKey } from '../../src/ledger/key-rotation.ts';
import { recoveryKeyName } from '../../src/ledger/key-recovery.ts';
import { leafHash } from '../../src/ledger/merkle.ts';
import { inclusionProof, nodesOfLeaves, treeRoot } from '../../src/ledger/merkle-proof.ts';
import { formatProofText } from '../../src/ledger/proof-text.ts';
import { formatVkey, type VerifierKey } from '../../src/ledger/vkey.ts';

/** A key of a ledger, or the recovery key of one. */
export interface TestLedgerKey {
  readonly vkey: string;
  readonly key: VerifierKey;
  readonly privateKey: KeyObject;
}

export const testOrigin = 'ledger.test/eu';

export function newLedgerKey(name = testOrigin): TestLedgerKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const vkey = formatVkey(name, 'ed25519', Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'));
  return { vkey, key: readLedgerKey(vkey), privateKey };
}

export const newRecoveryKey = (origin = testOrigin): TestLedgerKey => newLedgerKey(recoveryKeyName(origin));

export interface TestRotation {
  readonly from: TestLedgerKey;
  readonly to: TestLedgerKey;
  /** Who signs the checkpoint, when not the key that is replaced. */
  readonly signedBy?: readonly TestLedgerKey[];
  /** Milliseconds since the epoch. */
  readonly until?: number;
  /** Members of the event in place of those it should have. */
  readonly event?: Readonly<Record<string, unknown>>;
  /** The bytes of the leaf, in place of the event's. */
  readonly bytes?: Uint8Array;
  /** What the checkpoint says of itself. */
  readonly checkpoint?: { readonly origin?: string; readonly size?: number; readonly root?: Uint8Array };
  /** Lines under the checkpoint, given its text. */
  readonly cosign?: (checkpoint: string) => string;
}

/** The proof of a rotation as a ledger of a dozen entries would have it, or with one thing of it spoilt. */
export async function rotationProof(rotation: TestRotation): Promise<string> {
  const { from, to, signedBy = [from], until = Date.now() + 60_000 } = rotation;
  const at = new Date(1_772_000_000_000);
  const event = {
    v: 1,
    id: newId('event', at.getTime()),
    type: 'key.rotated',
    at: at.toISOString(),
    region: 'EU',
    tenant: null,
    actor: broker,
    key: 'ledger',
    from: from.vkey,
    to: to.vkey,
    cause: 'age',
    withdrawn: [],
    until: new Date(until).toISOString(),
    ...rotation.event,
  };
  const bytes = rotation.bytes ?? Buffer.from(canonicalJson(event));
  const [index, size] = [9, 12];
  const leaves = Array.from({ length: size }, (_, i) => leafHash(i === index ? bytes : Buffer.from(`event ${i}`)));
  const nodes = nodesOfLeaves(leaves);
  const head = { origin: from.key.name, size, root: await treeRoot(size, nodes), ...rotation.checkpoint };
  const checkpoint = signCheckpoint(head, ...signedBy.map(({ privateKey }) => privateKey));
  const hashes = await inclusionProof(index, size, nodes);
  return formatProofText({
    extra: bytes,
    index,
    hashes,
    checkpoint: checkpoint + (rotation.cosign?.(checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1)) ?? ''),
  });
}
