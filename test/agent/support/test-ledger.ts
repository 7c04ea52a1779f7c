import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeJwt, type JWTPayload } from 'jose';
import { newId } from '../../../src/domain/ids.ts';
import { canonicalJson } from '../../../src/ledger/canonical.ts';
import { signCheckpoint } from '../../../src/ledger/checkpoint.ts';
import { CompactRange } from '../../../src/ledger/compact-range.ts';
import { inclusionProof } from '../../../src/ledger/merkle-proof.ts';
import { leafHash } from '../../../src/ledger/merkle.ts';
import { formatProofText } from '../../../src/ledger/proof-text.ts';
import { formatVkey } from '../../../src/ledger/vkey.ts';
import { sha256 } from './signing-key.ts';

/** What a test wants to be otherwise in a receipt. */
export interface ReceiptParts {
  /** Replaces fields of the event before it becomes a leaf: one that is undefined is left out. */
  readonly event?: object;
  /** Makes the leaf's bytes of the event, instead of RFC 8785. */
  readonly write?: (event: object) => string;
  /** Adds what follows the ledger's own signature, such as a witness's. */
  readonly cosign?: (checkpoint: string) => string;
}

/** A ledger in memory, with a real tree, a real key, and nobody to say what may be written into it. */
export interface TestLedger {
  readonly origin: string;
  readonly vkey: string;
  readonly privateKey: KeyObject;
  /** Appends the event of this credential and answers with the receipt for it, as text. */
  receipt(jwt: string, parts?: ReceiptParts): Promise<string>;
  /** As `receipt`, as the header has it. A credential's event is appended once. */
  header(jwt: string): Promise<string>;
}

export function newTestLedger(origin = 'ledger.test/eu', privateKey = newLedgerKey()): TestLedger {
  const x = createPublicKey(privateKey).export({ format: 'jwk' }).x!;
  const tree = CompactRange.empty();
  const nodes = new Map<string, Uint8Array>();
  const append = (leaf: Uint8Array): number => {
    tree.append(leafHash(leaf), (level, index, hash) => nodes.set(`${level}/${index}`, hash));
    return tree.size - 1;
  };
  const known = new Map<string, Promise<string>>();
  // A tree of one has proofs without a hash, which would leave them untried.
  for (let i = 0; i < 5; i++) append(Buffer.from(`entry ${i}`));

  const ledger: TestLedger = {
    origin,
    vkey: formatVkey(origin, 'ed25519', Buffer.from(x, 'base64url')),
    privateKey,
    async receipt(jwt, parts: ReceiptParts = {}) {
      const { event: changes = {}, write = canonicalJson, cosign = (note: string) => note } = parts;
      const event = Buffer.from(write({ ...issued(jwt), ...changes }), 'utf8');
      const index = append(event);
      append(Buffer.from(`what comes after ${index}`));
      const { size } = tree;
      const checkpoint = cosign(signCheckpoint({ origin, size, root: tree.root() }, privateKey));
      const hashes = await inclusionProof(index, size, async (level, at) => nodes.get(`${level}/${at}`)!);
      return formatProofText({ extra: event, index, hashes, checkpoint });
    },
    async header(jwt) {
      const receipt = known.get(jwt) ?? ledger.receipt(jwt);
      known.set(jwt, receipt);
      return headerOf(await receipt);
    },
  };
  return ledger;
}

/** A receipt as `Latchkey-Receipt` has it. */
export function headerOf(receipt: string | Uint8Array): string {
  return Buffer.from(receipt).toString('base64');
}

/** The event that a broker would have written for this credential; of what is no credential, what there is of it. */
function issued(jwt: string): object {
  const { sub, aud, scope, ...claims } = claimsOf(jwt);
  const { jti, grant, tenant, iat, nbf, exp } = claims;
  return {
    v: 1,
    id: newId('event', Date.now()),
    type: 'credential.issued',
    at: new Date().toISOString(),
    region: 'EU',
    actor: { kind: 'person', id: sub },
    credential: sha256(jwt),
    jti,
    grant,
    tenant,
    person: sub,
    iat,
    nbf,
    exp,
    device: String(aud).replace('urn:latchkey:device:', ''),
    scopes: String(scope).split(' '),
    decision: sha256('a decision'),
  };
}

function claimsOf(jwt: string): JWTPayload {
  try {
    // A number that is too large to be one has no canonical form.
    return JSON.parse(JSON.stringify(decodeJwt(jwt))) as JWTPayload;
  } catch {
    return {};
  }
}

function newLedgerKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey;
}
