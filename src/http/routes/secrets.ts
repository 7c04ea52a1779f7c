import { Type } from 'typebox';
import { prepareSecret } from '../../broker/prepare-secret.ts';
import { releaseSecret } from '../../broker/release-secret.ts';
import { invalid } from '../../domain/errors.ts';
import { localAdmin } from '../../domain/local-admin.ts';
import { verifySecretRequest } from '../../domain/secret-request.ts';
import type { HttpContext } from '../context.ts';
import { grantExample } from '../examples.ts';
import { route, type Route } from '../route.ts';
import * as schemas from '../schemas.ts';

/** What a holder asks for a device's password with. */
const SecretWish = Type.Object(
  {
    device: schemas.id('device'),
    proof: Type.String({
      minLength: 1,
      maxLength: 4_096,
      description: 'a JWS of type `latchkey-secret-request+jwt` by the grant’s key, with the one-time key in it',
    }),
  },
  { additionalProperties: false },
);
/** What a device asks for its password with: the newest generation that it knows of, 0 before the first. */
const LocalSecretWish = Type.Object(
  { have: Type.Integer({ minimum: 0, maximum: 1_000_000_000 }) },
  { additionalProperties: false },
);

const ReleasedSecretShape = Type.Object({
  secret: Type.String({ description: 'a JWE (ECDH-ES, A256GCM) to the one-time key of the request' }),
  receipt: Type.String({ description: 'the proof that the release is in the ledger: a C2SP `tlog-proof@v1`' }),
  rotatesBy: Type.String({
    ...schemas.Time,
    description: 'when the device is asked for another password at the latest',
  }),
});
const LocalSecretShape = Type.Object({
  generation: Type.Integer({ minimum: 1 }),
  secret: Type.String({ description: 'a JWE (ECDH-ES, A256GCM) to the device’s encryption key' }),
});

/** As old, and as far ahead, as a proof of the same key may be that mints (seconds). */
const proofAge = 60;
const proofFuture = 10;
const jwe = 'eyJhbGciOiJFQ0RILUVTIn0..d2l0aG91dCBrZXk.Y2lwaGVydGV4dA.dGFn';
const receipt =
  'c2sp.org/tlog-proof@v1\nextra …\nindex 43\n…\n\nlatchkey.example/eu\n44\n…\n\n— latchkey.example/eu …\n';
const noStore = { 'Cache-Control': 'no-store' };

export function secretRoutes(context: HttpContext): Route[] {
  const { broker } = context;
  return [
    route({
      method: 'post',
      path: '/v1/grants/{id}/secrets',
      id: 'releaseSecret',
      tag: 'Grants',
      summary: 'Get the local administrator’s password of one device of a grant, once',
      audience: 'person',
      rule: 'its holder only, with a proof of the grant’s key; policy is asked again: `mint`',
      params: Type.Object({ id: schemas.id('grant') }),
      body: SecretWish,
      bodyExample: { device: grantExample.devices[0], proof: 'eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl' },
      answers: {
        201: {
          description: 'the password, which nobody but the holder of the one-time key can read',
          schema: ReleasedSecretShape,
          example: { secret: jwe, receipt, rotatesBy: '2026-03-01T10:01:12.000Z' },
        },
      },
      problems: ['invalid-request', 'not-permitted', 'not-found', 'conflict'],
      async handle({ caller, params, body, idempotency }) {
        const now = Date.now();
        const verdict = verifySecretRequest({
          proof: body.proof,
          issuer: broker.issuer,
          grant: params.id,
          device: body.device,
          now,
          maxAgeSeconds: proofAge,
          maxFutureSeconds: proofFuture,
        });
        if (!verdict.ok) throw invalid('/proof', verdict.reason);
        const { jkt, oneTimeKey, replayKey } = verdict;
        const expiresAt = new Date(now + (proofAge + proofFuture + 60) * 1_000);
        const proof = { jkt, oneTimeKey, replayKey, expiresAt };
        const released = await releaseSecret(
          broker,
          caller,
          { grant: params.id, device: body.device, proof },
          idempotency,
        );
        return { status: 201, headers: noStore, body: { ...released, rotatesBy: released.rotatesBy.toISOString() } };
      },
    }),

    route({
      method: 'post',
      path: `/v1/agent/secrets/${localAdmin}`,
      id: 'prepareLocalSecret',
      tag: 'Agents',
      summary: 'Get the password that the device’s local administrator is to have',
      audience: 'device',
      fleet: true,
      rule: 'an enrolled device, about itself',
      body: LocalSecretWish,
      bodyExample: { have: 3 },
      answers: {
        200: {
          description: 'the password, which nobody but the device can read',
          schema: LocalSecretShape,
          example: { generation: 4, secret: jwe },
        },
      },
      problems: ['invalid-request', 'conflict'],
      async handle({ device, body }) {
        return { status: 200, headers: noStore, body: await prepareSecret(broker, device, body.have) };
      },
    }),
  ];
}
