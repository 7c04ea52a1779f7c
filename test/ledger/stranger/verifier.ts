// A verifier as a stranger would write it, from `docs/ledger-format.md` alone: nothing here is the product's.
import { createHash, createPublicKey, verify } from 'node:crypto';

/** Fetches a path below `<publicUrl>`. */
export type Get = (path: string) => Promise<Buffer>;

interface Head {
  readonly size: number;
  readonly root: Buffer;
}

class Wrong extends Error {}
function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Wrong(what);
}

const sha256 = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
/** Base64 in the one form that it has. */
function base64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  must(bytes.toString('base64') === text, 'no base64');
  return bytes;
}
const leaf = (entry: Uint8Array): Buffer => sha256(Buffer.of(0), entry);
const node = (left: Uint8Array, right: Uint8Array): Buffer => sha256(Buffer.of(1), left, right);

/** Checkpoints, "To open a checkpoint". */
function openCheckpoint(note: string, vkey: string): Head {
  const [, name = '', id = '', key = ''] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? [];
  const typed = base64(key);
  must(typed[0] === 1 && typed.length === 33, 'the key is no Ed25519 key');
  must(sha256(Buffer.from(`${name}\n`), typed).toString('hex', 0, 4) === id, 'the key has another id');
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: typed.subarray(1).toString('base64url') },
    format: 'jwk',
  });
  const at = note.lastIndexOf('\n\n');
  must(at >= 0 && note.endsWith('\n'), 'no note');
  const text = note.slice(0, at + 1);
  let signed = false;
  for (const line of note.slice(at + 2, -1).split('\n')) {
    const [, who, encoded = ''] = /^— (\S+) (\S+)$/.exec(line) ?? [];
    must(who !== undefined, 'a line is no signature');
    const bytes = base64(encoded);
    if (who !== name || bytes.toString('hex', 0, 4) !== id) continue;
    must(verify(null, Buffer.from(text), publicKey, bytes.subarray(4)), 'the signature is not good');
    signed = true;
  }
  must(signed, 'the ledger has not signed');
  const [origin, size = '', root = ''] = text.split('\n');
  must(origin === name, 'another origin');
  must(/^(0|[1-9]\d*)$/.test(size), 'the size is no number');
  return { size: Number(size), root: base64(root) };
}

/** The roots of the perfect subtrees that a size divides into: all that is needed to append. */
class Edge {
  readonly #peaks: { readonly height: number; readonly hash: Buffer }[] = [];
  size = 0;

  /** @param made is told of each node that becomes whole. */
  append(hash: Buffer, made: (height: number, index: number, hash: Buffer) => void): void {
    let [height, index, top] = [0, this.size++, hash];
    made(0, index, top);
    while (this.#peaks.at(-1)?.height === height) {
      top = node(this.#peaks.pop()!.hash, top);
      height += 1;
      index = (index - 1) / 2;
      made(height, index, top);
    }
    this.#peaks.push({ height, hash: top });
  }

  root(): Buffer {
    if (this.#peaks.length === 0) return sha256();
    return this.#peaks.map(({ hash }) => hash).reduceRight((right, left) => node(left, right));
  }
}

/** Tiles, the path of one. */
function tilePath(level: string, index: number, width: number): string {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0');
  const groups = digits.match(/\d{3}/g)!;
  const name = groups.map((group, place) => (place < groups.length - 1 ? `x${group}` : group)).join('/');
  return `/ledger/tile/${level}/${name}${width < 256 ? `.p/${width}` : ''}`;
}

function entriesOf(bundle: Buffer, count: number): Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < bundle.length;) {
    const end = at + 2 + bundle.readUInt16BE(at);
    must(end <= bundle.length, 'a bundle ends within an entry');
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  must(entries.length === count, 'a bundle has another number of entries');
  return entries;
}

/** RFC 8785. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}

type Event = Readonly<Record<string, never>> & {
  readonly type: string;
  readonly request: string;
  readonly grant: string;
  readonly person: string;
  readonly device: string;
  readonly devices: readonly string[];
  readonly scopes: readonly string[];
  readonly stages: readonly { readonly name: string; readonly needs: number }[];
  readonly stage: string;
  readonly actor: { readonly id: string };
  readonly expiresAt: string;
  readonly to: string;
  readonly exp: number;
};

/** "The whole ledger", step 4: approvals before grants, credentials within them, nothing after an end. */
class Rules {
  readonly #asked = new Map<string, Event>();
  readonly #approved = new Map<string, string[]>();
  readonly #live = new Map<
    string,
    { devices: readonly string[]; scopes: readonly string[]; person: string; until: string }
  >();

  check(event: Event): void {
    const { type, request, grant } = event;
    if (type === 'request.submitted') this.#asked.set(request, event);
    if (type === 'request.approved') {
      must(event.actor.id !== this.#asked.get(request)?.actor.id, 'approved by who asked');
      this.#approved.set(request, [...(this.#approved.get(request) ?? []), event.stage]);
    }
    if (type === 'grant.started' || type === 'grant.scheduled') {
      const stages = this.#asked.get(request)?.stages;
      must(stages !== undefined, 'a grant that nobody asked for');
      for (const { name, needs } of stages) {
        const given = (this.#approved.get(request) ?? []).filter((stage) => stage === name).length;
        must(given >= needs, `a grant without the approvals of \`${name}\``);
      }
      const { devices, scopes, person, expiresAt: until } = event;
      this.#live.set(grant, { devices, scopes, person, until });
    }
    if (type === 'grant.extended') this.#live.set(grant, { ...this.#live.get(grant)!, until: event.to });
    if (type === 'credential.issued') {
      const live = this.#live.get(grant);
      must(live !== undefined, 'a credential of no live grant');
      must(live.devices.includes(event.device) && live.person === event.person, 'a credential outside of its grant');
      must(
        event.scopes.every((scope) => live.scopes.includes(scope)),
        'a credential for more than its grant',
      );
      must(event.exp * 1000 <= Date.parse(live.until), 'a credential that outlives its grant');
    }
    if (/^grant\.(expired|revoked|released)$/.test(type)) {
      must(this.#live.delete(grant), 'an end of what is not live');
    }
  }
}

/** "The whole ledger". @returns how many entries hold. @throws with what does not. */
export async function verifyWholeLedger(get: Get, vkey: string, pinned?: string): Promise<number> {
  const head = openCheckpoint((await get('/ledger/checkpoint')).toString('utf8'), vkey);
  const earlier = pinned === undefined ? null : openCheckpoint(pinned, vkey);
  must(earlier === null || earlier.size <= head.size, 'the ledger has shrunk');
  const edge = new Edge();
  const rules = new Rules();
  const made = new Map<string, Buffer[]>();
  for (let first = 0; first < head.size; first += 256) {
    const width = Math.min(256, head.size - first);
    for (const entry of entriesOf(await get(tilePath('entries', first / 256, width)), width)) {
      const event = JSON.parse(entry.toString('utf8')) as Event;
      must(canonical(event) === entry.toString('utf8'), 'an entry is not canonical');
      rules.check(event);
      edge.append(leaf(entry), (height, index, hash) => {
        if (height % 8 !== 0) return;
        const tile = `${height / 8} ${Math.floor(index / 256)}`;
        made.set(tile, [...(made.get(tile) ?? []), hash]);
      });
      if (edge.size === earlier?.size) must(edge.root().equals(earlier.root), 'history was rewritten');
    }
  }
  for (const [tile, hashes] of made) {
    const [level, index] = tile.split(' ');
    const served = await get(tilePath(level!, Number(index), hashes.length));
    must(served.equals(Buffer.concat(hashes)), `the tile ${tile} is not what the entries make`);
  }
  must(edge.root().equals(head.root), 'the entries have another root');
  return edge.size;
}

/** RFC 9162 §2.1.3.2. */
function rootFromProof(hash: Buffer, index: number, size: number, proof: readonly Buffer[]): Buffer {
  must(index < size, 'the tree has no such leaf');
  let [at, last, root] = [index, size - 1, hash];
  for (const sibling of proof) {
    must(last !== 0, 'the proof is too long');
    if (at % 2 === 1 || at === last) {
      root = node(sibling, root);
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      root = node(root, sibling);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  must(last === 0, 'the proof is too short');
  return root;
}

/** Receipts, "To verify it for a credential". @throws with what does not hold. */
export function verifyReceiptOf(jwt: string, receipt: string, vkey: string): void {
  must(Buffer.byteLength(receipt) <= 8_192, 'too long');
  const at = receipt.indexOf('\n\n');
  const [first, extra = '', index = '', ...hashes] = receipt.slice(0, at).split('\n');
  must(first === 'c2sp.org/tlog-proof@v1' && extra.startsWith('extra ') && /^index \d+$/.test(index), 'no receipt');
  const entry = base64(extra.slice(6));
  must(entry.length <= 2_048, 'too long an entry');
  const event = JSON.parse(entry.toString('utf8')) as Record<string, unknown>;
  must(canonical(event) === entry.toString('utf8'), 'not canonical');
  const claims = JSON.parse(Buffer.from(jwt.split('.')[1]!, 'base64url').toString('utf8')) as Record<string, unknown>;
  const wanted = {
    v: 1,
    type: 'credential.issued',
    credential: sha256(Buffer.from(jwt)).toString('base64url'),
    jti: claims['jti'],
    grant: claims['grant'],
    tenant: claims['tenant'],
    iat: claims['iat'],
    nbf: claims['nbf'],
    exp: claims['exp'],
    person: claims['sub'],
    device: String(claims['aud']).replace('urn:latchkey:device:', ''),
    scopes: String(claims['scope']).split(' '),
  };
  for (const [name, value] of Object.entries(wanted)) {
    must(value !== undefined && canonical(event[name]) === canonical(value), `another \`${name}\``);
  }
  const head = openCheckpoint(receipt.slice(at + 2), vkey);
  const proof = hashes.map(base64);
  must(rootFromProof(leaf(entry), Number(index.slice(6)), head.size, proof).equals(head.root), 'another root');
}
