import { CompactJwsError, ownMember, requireCanonicalCompactJws, type JsonObject } from '../domain/compact-jws.ts';
import { decodeBase64url } from '../domain/base64.ts';
import { hasEs256Signature } from '../domain/es256.ts';
import type { DeviceId } from '../domain/ids.ts';
import { isPassword, localAdmin, localSecretTypes } from '../domain/local-admin.ts';
import { commit } from '../ledger/canonical.ts';
import type { EncryptionKey } from './encryption-key.ts';
import type { BrokerKeys } from './jwks.ts';
import type { EventCheck } from './receipts.ts';

/** What the broker sent is not to be set. The message holds nothing of it. */
export class LocalSecretError extends Error {
  override readonly name = 'LocalSecretError';
}

/** A password that the account is to have. */
export interface LocalSecret {
  readonly generation: number;
  readonly password: string;
}

export interface LocalSecretTrust {
  readonly issuer: string;
  readonly device: DeviceId;
  readonly keys: BrokerKeys;
  readonly encryptionKey: EncryptionKey;
  /** Holds a receipt against the event that it has to be of. */
  readonly checkEvent: EventCheck;
  /** The agent's clock, in milliseconds since the epoch. */
  readonly now: () => number;
}

const maxLength = 32_768;
const longestLifeMs = 60_000;
const statementMembers = ['aud', 'exp', 'generation', 'iat', 'iss', 'password', 'receipt', 'salt', 'secret'];

/**
 * Opens what the broker sent for the account to have: encrypted to this device, signed with a key that may sign it, for
 * this device and now, with a receipt of the event that commits to this very password. So whoever has only one of the
 * broker's keys sets no password here, and none is set that is not in the ledger.
 * @throws LocalSecretError or CompactJweError naming the rule that does not hold.
 */
export async function openLocalSecret(jwe: unknown, trust: LocalSecretTrust): Promise<LocalSecret> {
  const statement = await trust.encryptionKey.open(jwe, localSecretTypes.jwe);
  const payload = await verifiedPayload(statement, trust.keys);
  const claim = (name: string) => ownMember(payload, name);
  requireThat(Object.keys(payload).sort().join() === statementMembers.join(), 'has other members');
  requireThat(claim('iss') === trust.issuer, 'is of another issuer');
  requireThat(claim('aud') === `urn:latchkey:device:${trust.device}`, 'is for another device');
  requireThat(claim('secret') === localAdmin, 'is of another secret');
  requireCurrent(claim('iat'), claim('exp'), trust.now());
  const [generation, password, salt, receipt] = ['generation', 'password', 'salt', 'receipt'].map(claim);
  requireThat(Number.isSafeInteger(generation) && (generation as number) > 0, 'has no generation');
  requireThat(typeof password === 'string' && isPassword(password), 'has no password such as brokers make');
  const salted = typeof salt === 'string' ? decodeBase64url(salt) : null;
  requireThat(salted?.length === 16, 'has no salt of 128 bits');
  requireThat(typeof receipt === 'string', 'has no receipt');
  const expected = {
    device: trust.device,
    secret: localAdmin,
    generation,
    commitment: commit(salted, password),
  };
  const verdict = await trust.checkEvent(receipt, 'secret.prepared', expected, trust.now());
  requireThat(verdict.ok, verdict.ok ? '' : `comes with a receipt that does not hold: ${verdict.reason}`);
  return { generation: generation as number, password };
}

function requireCurrent(iat: unknown, exp: unknown, now: number): void {
  requireThat(typeof iat === 'number' && typeof exp === 'number' && exp > iat, 'has no time');
  requireThat((exp - iat) * 1_000 <= longestLifeMs, 'lives longer than 60 s');
  // Its times are whole seconds, and the broker's clock may have gone on since the list that the agent's is set by.
  requireThat(iat * 1_000 <= now + longestLifeMs && now < exp * 1_000, 'has run out, or is not yet valid');
}

async function verifiedPayload(statement: string, keys: BrokerKeys): Promise<JsonObject> {
  try {
    const { header, payload } = requireCanonicalCompactJws(statement, { maxLength });
    requireThat(header.typ === localSecretTypes.jwt, `is no \`${localSecretTypes.jwt}\``);
    const key = header.kid === undefined ? null : await keys.find(header.kid);
    requireThat(key?.types.has(localSecretTypes.jwt) === true && keys.isFresh(), 'is signed with a key that may not');
    requireThat(
      header.alg === 'ES256' && hasEs256Signature(statement, key.key),
      'has a signature that does not verify',
    );
    return payload;
  } catch (error) {
    if (error instanceof CompactJwsError) throw new LocalSecretError(`the password's statement: ${error.message}`);
    throw error;
  }
}

function requireThat(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new LocalSecretError(`the password's statement ${otherwise}`);
}
