import { Type, type TSchema } from 'typebox';
import type { SignedStatement } from '../../broker/record-device-events.ts';
import { endCauses, type DeviceEventType } from '../../domain/device-event.ts';
import { LatchkeyError, invalid } from '../../domain/errors.ts';
import { localAdmin } from '../../domain/local-admin.ts';
import { refusalCodes } from '../../domain/refusal-code.ts';
import { id, nullable, oneOf, Time } from '../schemas.ts';
import { checker } from '../validate.ts';

const closed = { additionalProperties: false };
const word = Type.String({ pattern: '^[a-z][a-z0-9.:-]{0,99}$' });
const hash = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
const count = Type.Integer({ minimum: 0, maximum: 2_147_483_647 });
const bigCount = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const about = { iss: Type.String(), aud: Type.String(), jti: id('event'), iat: Type.Number(), at: Time };

const shapes: Readonly<Record<DeviceEventType, TSchema>> = {
  'session.started': Type.Object(
    {
      ...about,
      type: Type.Literal('session.started'),
      session: id('session'),
      grant: id('grant'),
      person: id('person'),
      credential: hash,
      credentialId: id('credential'),
      scopes: Type.Array(word, { minItems: 1, maxItems: 100 }),
      receiptIndex: bigCount,
      checkpoint: Type.Object({ size: bigCount, root: hash }, closed),
    },
    closed,
  ),
  'session.refused': Type.Object(
    {
      ...about,
      type: Type.Literal('session.refused'),
      code: oneOf(refusalCodes),
      grant: id('grant'),
      person: id('person'),
    },
    closed,
  ),
  'action.performed': Type.Object(
    {
      ...about,
      type: Type.Literal('action.performed'),
      session: id('session'),
      grant: id('grant'),
      scope: word,
      exit: nullable(Type.Integer({ minimum: -2_147_483_648, maximum: 2_147_483_647 })),
      durationMs: count,
      bytes: bigCount,
      args: nullable(hash),
    },
    closed,
  ),
  'secret.rotated': Type.Object(
    {
      ...about,
      type: Type.Literal('secret.rotated'),
      secret: Type.Literal(localAdmin),
      generation: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }),
    },
    closed,
  ),
  'session.ended': Type.Object(
    {
      ...about,
      type: Type.Literal('session.ended'),
      session: id('session'),
      grant: id('grant'),
      cause: oneOf(endCauses),
      lagMs: count,
    },
    closed,
  ),
};

const checks = new Map(Object.entries(shapes).map(([type, schema]) => [type, checker(schema, 'body')]));

/** The claims of a device's statement, by its closed schema. @throws invalid-request at the pointer. */
export function readDeviceStatement(claims: unknown, pointer: string): SignedStatement {
  const type = (claims as { type?: unknown }).type;
  const check = typeof type === 'string' ? checks.get(type) : undefined;
  if (!check) throw invalid(pointer, 'is of no known type');
  try {
    check(claims);
  } catch (error) {
    const [mistake] = error instanceof LatchkeyError ? (error.errors ?? []) : [];
    throw invalid(pointer, `its claim \`${mistake?.pointer ?? ''}\` ${mistake?.message ?? 'is not valid'}`);
  }
  return claims as SignedStatement;
}
