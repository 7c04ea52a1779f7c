import { Type, type TProperties, type TSchema } from 'typebox';
import { idPattern, type Id, type IdKind } from '../domain/ids.ts';
import { durationPattern } from '../domain/duration.ts';
import { dataClasses } from '../domain/profile.ts';
import { requestStates } from '../domain/request.ts';
import { grantStates } from '../domain/grant.ts';

/** Each JSON Schema of the API, once: ajv validates with it, TypeScript infers from it, OpenAPI shows it. */

const closed = { additionalProperties: false };

export const id = <K extends IdKind>(kind: K) =>
  Type.Unsafe<Id<K>>(Type.String({ pattern: idPattern(kind).source, description: `the id of a ${kind}` }));

export const Time = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?([Zz]|[+-]\\d{2}:\\d{2})$',
  description: 'RFC 3339',
  examples: ['2026-03-01T09:30:00.000Z'],
});
export const Duration = Type.String({
  pattern: durationPattern.source,
  maxLength: 40,
  description: 'ISO 8601 in days, hours, minutes and seconds',
  examples: ['PT30M'],
});

const text = (maxLength: number, description: string) =>
  Type.String({ minLength: 1, maxLength, pattern: '\\S', description });
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const oneOf = <T extends string>(values: readonly T[]) => Type.Unsafe<T>(Type.Enum([...values]));

export const Reason = text(2_000, 'why, in your own words; kept where it can be erased');
export const Comment = text(2_000, 'a word to the requester; kept where it can be erased');
const Scope = Type.String({ pattern: '^[a-z][a-z0-9.:-]{0,99}$' });
const Scopes = Type.Array(Scope, { minItems: 1, maxItems: 100, uniqueItems: true });
const DeviceIds = Type.Array(id('device'), { minItems: 1, maxItems: 50, uniqueItems: true });
export const Slug = Type.String({ pattern: '^[a-z0-9-]{1,63}$', description: 'a tenant’s short name' });
export const TenantRef = Type.String({ pattern: '^[a-z0-9_-]{1,63}$', description: 'a tenant by id or slug' });
const StageName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' });
const DataClassName = oneOf(dataClasses);

export const Person = Type.Object({ id: id('person'), name: nullable(Type.String()) });

export const AccessWish = Type.Object(
  {
    profile: Type.String({ pattern: '^[a-z][a-z0-9-]{0,62}$' }),
    devices: DeviceIds,
    duration: Duration,
    reason: Reason,
    ticket: Type.Optional(text(200, 'the number of a ticket')),
    startsAt: Type.Optional(Time),
  },
  closed,
);

const Narrow = Type.Object(
  { duration: Type.Optional(Duration), scopes: Type.Optional(Scopes), devices: Type.Optional(DeviceIds) },
  closed,
);

export const DecisionWish = Type.Object(
  {
    verdict: oneOf(['approve', 'deny'] as const),
    stage: Type.Optional(StageName),
    comment: Type.Optional(Comment),
    narrow: Type.Optional(Narrow),
  },
  closed,
);

export const ExtensionWish = Type.Object({ duration: Duration, reason: Reason }, closed);
export const RevocationWish = Type.Object({ reason: Reason }, closed);
export const Empty = Type.Object({}, closed);
export const CredentialWish = Type.Object({ device: id('device') }, closed);
export const ReviewWish = Type.Object(
  { verdict: oneOf(['justified', 'unjustified'] as const), comment: Type.Optional(Comment) },
  closed,
);
export const TenantWish = Type.Object(
  { name: text(200, 'what people call the tenant'), region: oneOf(['EU', 'APAC', 'US'] as const) },
  closed,
);
export const EnrolmentCodeWish = Type.Object({ tenant: id('tenant') }, closed);

const coordinate = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });
export const DevicePublicKey = Type.Object(
  {
    kty: Type.Literal('EC'),
    crv: Type.Literal('P-256'),
    x: coordinate,
    y: coordinate,
    alg: Type.Optional(Type.Literal('ES256')),
    use: Type.Optional(Type.Literal('sig')),
    kid: Type.Optional(Type.String({ maxLength: 200 })),
    key_ops: Type.Optional(Type.Array(Type.Literal('verify'), { maxItems: 1 })),
    ext: Type.Optional(Type.Boolean()),
  },
  closed,
);
/** To which what only the device may read is encrypted. The proof names its thumbprint. */
const EncryptionKey = Type.Object(
  { kty: Type.Literal('EC'), crv: Type.Literal('P-256'), x: coordinate, y: coordinate },
  closed,
);
export const Facts = Type.Record(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$' }), Type.Unknown(), {
  maxProperties: 200,
  additionalProperties: false,
  description: 'what the agent says of the device: serial, make, model, hostname, …',
});
export const EnrolmentWish = Type.Object(
  {
    code: Type.String({ minLength: 1, maxLength: 200 }),
    publicKey: DevicePublicKey,
    proof: Type.String({ minLength: 1, maxLength: 8_192 }),
    encryptionKey: Type.Optional(EncryptionKey),
    facts: Facts,
  },
  closed,
);
const DoorShape = Type.Object(
  {
    url: Type.String({ maxLength: 2_000, pattern: '^https?://' }),
    certificateSha256: Type.Optional(nullable(Type.String({ pattern: '^([A-Za-z0-9_-]{43}|[0-9a-fA-F]{64})$' }))),
  },
  closed,
);
export const DeviceState = Type.Object(
  { inUse: Type.Optional(Type.Boolean()), facts: Type.Optional(Facts), door: Type.Optional(nullable(DoorShape)) },
  closed,
);

// Answers --------------------------------------------------------------------------------------------------------------

export const Me = Type.Object({
  id: id('person'),
  name: nullable(Type.String()),
  teams: Type.Array(Type.String()),
  employer: nullable(Type.String()),
  region: nullable(Type.String()),
  trainingValidUntil: nullable(Time),
});
export const StageRule = Type.Object({
  name: StageName,
  from: Type.Array(Type.String()),
  needs: Type.Integer({ minimum: 1 }),
});
export const ProfileShape = Type.Object({
  name: Type.String(),
  title: Type.String(),
  scopes: Scopes,
  dataClasses: Type.Array(DataClassName),
  stages: Type.Array(StageRule),
  longest: Duration,
});
export const GrantShape = Type.Object({
  id: id('grant'),
  request: id('request'),
  state: oneOf(grantStates),
  person: Person,
  tenant: id('tenant'),
  profile: Type.String(),
  devices: DeviceIds,
  scopes: Scopes,
  startsAt: Time,
  expiresAt: Time,
  endedAt: nullable(Time),
  endedBy: nullable(Person),
  endReason: nullable(Type.String()),
  review: nullable(
    Type.Object({
      state: oneOf(['due', 'overdue', 'done'] as const),
      dueAt: Time,
      by: nullable(Person),
      verdict: nullable(oneOf(['justified', 'unjustified'] as const)),
    }),
  ),
  sessions: Type.Object(
    { open: Type.Integer({ minimum: 0 }), confirmed: Type.Integer({ minimum: 0 }) },
    { description: 'of the sessions that devices have told of: those they have not called ended, and those they have' },
  ),
  /** When it had ended at every device too: null while it lives, and while a session of it is open. */
  confirmedEndedAt: nullable(Time),
});
export const RequestShape = Type.Object({
  id: id('request'),
  state: oneOf(requestStates),
  profile: Type.String(),
  tenant: id('tenant'),
  devices: DeviceIds,
  duration: Duration,
  scopes: Scopes,
  dataClasses: Type.Array(DataClassName),
  reason: nullable(Type.String()),
  ticket: nullable(Type.String()),
  requester: Person,
  createdAt: Time,
  startsAt: nullable(Time),
  lapsesAt: Time,
  extends: nullable(id('grant')),
  stages: Type.Array(
    Type.Object({
      name: StageName,
      from: Type.Array(Type.String()),
      needs: Type.Integer(),
      approvedBy: Type.Array(Person),
    }),
  ),
  decisions: Type.Array(
    Type.Object({
      by: Person,
      verdict: oneOf(['approve', 'deny'] as const),
      stage: StageName,
      comment: nullable(Type.String()),
      narrow: nullable(Narrow),
      at: Time,
    }),
  ),
  grant: nullable(GrantShape),
});
export const CredentialShape = Type.Object({
  credential: Type.String({ description: 'a JWT (RFC 9068) for one device, bound to the key of the proof' }),
  tokenType: Type.Literal('DPoP'),
  expiresAt: Time,
  receipt: Type.String({ description: 'the proof that it is in the ledger: a C2SP `tlog-proof@v1`' }),
});
export const TenantShape = Type.Object({ id: id('tenant'), slug: Slug, name: Type.String(), region: Type.String() });
export const DeviceShape = Type.Object({
  id: id('device'),
  tenant: id('tenant'),
  name: Type.String(),
  state: oneOf(['enrolled', 'unenrolled'] as const),
  facts: Type.Record(Type.String(), Type.Unknown()),
  door: nullable(Type.Object({ url: Type.String(), certificateSha256: nullable(Type.String()) })),
  inUse: Type.Boolean(),
  lastSeenAt: nullable(Time),
  enrolledAt: Time,
});
export const EnrolledShape = Type.Object({
  ...DeviceShape.properties,
  issuer: Type.String(),
  jwksUri: Type.String(),
  ledgerKey: Type.String({ description: 'the ledger’s C2SP verifier key' }),
  recoveryKey: Type.Optional(
    Type.String({
      description: 'the verifier key that alone may replace it should it leak; absent where there is none',
    }),
  ),
});
export const SessionShape = Type.Object({
  id: id('session'),
  device: id('device'),
  grant: id('grant'),
  person: Person,
  scopes: Scopes,
  state: oneOf(['open', 'ended', 'unconfirmed'] as const),
  startedAt: Time,
  endedAt: nullable(Time),
  cause: nullable(Type.String()),
});
export const AlarmShape = Type.Object({
  id: id('alarm'),
  kind: Type.String(),
  subject: Type.String(),
  /** The grant that it is over, where that is not what it is about. */
  grant: nullable(id('grant')),
  since: Time,
  closedAt: nullable(Time),
});
export const NoticeShape = Type.Object({
  id: id('notice'),
  kind: Type.String(),
  subject: Type.String(),
  at: Time,
  text: Type.String(),
});
export const ProblemShape = Type.Object({
  type: Type.String({ pattern: '^urn:latchkey:problem:' }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), message: Type.String() }))),
  reasons: Type.Optional(
    Type.Array(Type.Object({ policy: Type.String(), message: Type.String(), remedy: nullable(Type.String()) })),
  ),
});
export const listOf = <T extends TSchema>(items: T) =>
  Type.Object({
    items: Type.Array(items),
    next: nullable(Type.String({ description: 'the cursor of the next page' })),
  });

/** The paging parameters of every list. */
export const paging = {
  cursor: Type.Optional(Type.String({ maxLength: 100, description: 'what `next` said' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
};

/** The parameters of a query: these and no others. */
export const queryOf = <P extends TProperties>(parameters: P) => Type.Object(parameters, closed);
export { oneOf, nullable };
