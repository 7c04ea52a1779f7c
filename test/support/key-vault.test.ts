import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startKeyVault, type TestKeyVault } from './key-vault.ts';

/** Held against the service's own documentation of its REST API for secrets, and against recordings of it. */

let service: TestKeyVault;
let now = 1_700_000_000_400;
before(async () => {
  service = await startKeyVault({ now: () => now, delays: { deletion: 10_000, recovery: 5_000, purge: 5_000 } });
});
after(() => service.stop());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

async function call(
  method: string,
  path: string,
  body?: unknown,
  token: string | null = service.token,
): Promise<Answer> {
  const version = path.includes('api-version') ? '' : `${path.includes('?') ? '&' : '?'}api-version=7.4`;
  const response = await fetch(service.url + path + version, {
    method,
    headers: {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) };
}

const errorOf = ({ status, body }: Answer): unknown[] => [status, body.error.code, body.error.innererror?.code];
const attributes = { recoveryLevel: 'Recoverable+Purgeable', recoverableDays: 90 };

describe('the challenge', () => {
  test('meets a call without a token, and names authority and resource', async () => {
    const { status, headers, body } = await call('GET', '/secrets/a', undefined, null);
    assert.equal(status, 401);
    assert.deepEqual(body, {
      error: { code: 'Unauthorized', message: 'AKV10000: Request is missing a Bearer or PoP token.' },
    });
    assert.match(
      headers.get('www-authenticate')!,
      /^Bearer authorization="https:\/\/login\.microsoftonline\.com\/[0-9a-f-]{36}", resource="https:\/\/vault\.azure\.net"$/,
    );
  });

  test('says of a token that is not taken that it is invalid', async () => {
    const { status, headers } = await call('GET', '/secrets/a', undefined, 'other');
    assert.equal(status, 401);
    assert.match(headers.get('www-authenticate')!, /resource="[^"]+", error="invalid_token", error_description="/);
  });
});

describe('a secret', () => {
  test('that is set has an id with a version of 32 hexadecimal digits, and times in whole seconds', async () => {
    const { status, headers, body } = await call('PUT', '/secrets/Form', { value: 'text' });
    assert.equal(status, 200);
    assert.match(headers.get('content-type')!, /^application\/json; charset=utf-8$/);
    for (const name of ['x-ms-request-id', 'x-ms-keyvault-service-version', 'x-ms-keyvault-region', 'date']) {
      assert.ok(headers.get(name), name);
    }
    const { id, ...rest } = body;
    assert.match(id, new RegExp(`^${service.url}/secrets/Form/[0-9a-f]{32}$`));
    assert.deepEqual(rest, {
      value: 'text',
      attributes: { enabled: true, created: 1_700_000_000, updated: 1_700_000_000, ...attributes },
    });
    assert.deepEqual((await call('GET', '/secrets/form')).body, body, 'names are the same in any case');
    assert.deepEqual((await call('GET', '/secrets/Form/')).body, body);
    assert.deepEqual((await call('GET', id.slice(service.url.length))).body, body);
  });

  test('keeps its content type, tags, and the times that it is given', async () => {
    const { body } = await call('PUT', '/secrets/full', {
      value: '',
      contentType: 'text/plain',
      tags: { a: 'b' },
      attributes: { enabled: true, nbf: 1_600_000_000, exp: 1_900_000_000 },
    });
    const { id: _, ...rest } = body;
    assert.deepEqual(rest, {
      value: '',
      contentType: 'text/plain',
      attributes: {
        enabled: true,
        nbf: 1_600_000_000,
        exp: 1_900_000_000,
        created: 1_700_000_000,
        updated: 1_700_000_000,
        ...attributes,
      },
      tags: { a: 'b' },
    });
  });

  test('can be read before its `nbf` and after its `exp`: they keep nobody away', async () => {
    await call('PUT', '/secrets/early', { value: 'x', attributes: { nbf: 1_800_000_000 } });
    await call('PUT', '/secrets/late', { value: 'x', attributes: { exp: 1_600_000_000 } });
    for (const name of ['early', 'late']) assert.equal((await call('GET', `/secrets/${name}`)).status, 200);
  });

  test('is updated without its value, in what is named alone', async () => {
    const { body: set } = await call('PUT', '/secrets/updated', { value: 'x', tags: { a: '1', b: '2' } });
    now += 2_000;
    const path = set.id.slice(service.url.length);
    const { status, body } = await call('PATCH', path, { attributes: { exp: 1_900_000_000 } });
    assert.equal(status, 200);
    assert.deepEqual(body, {
      id: set.id,
      attributes: { ...set.attributes, exp: 1_900_000_000, updated: set.attributes.updated + 2 },
      tags: { a: '1', b: '2' },
    });
    const { body: tagged } = await call('PATCH', path, { tags: { c: '3' } });
    assert.deepEqual(tagged.tags, { c: '3' }, 'tags are put in place of the others');
    assert.equal((await call('GET', path)).body.value, 'x');
  });

  test('that is disabled is not read, but updated, listed, and enabled again', async () => {
    const { body } = await call('PUT', '/secrets/off', { value: 'x', attributes: { enabled: false } });
    assert.equal(body.attributes.enabled, false);
    const refused = await call('GET', '/secrets/off');
    assert.equal(refused.status, 403);
    assert.deepEqual(refused.body, {
      error: {
        code: 'Forbidden',
        message: 'Operation get is not allowed on a disabled secret.',
        innererror: { code: 'SecretDisabled' },
      },
    });
    assert.equal((await call('GET', '/secrets/off/versions')).body.value[0].attributes.enabled, false);
    const path = body.id.slice(service.url.length);
    assert.equal((await call('PATCH', path, { attributes: { enabled: true } })).status, 200);
    assert.equal((await call('GET', '/secrets/off')).body.value, 'x');
  });

  test('whose newest version is disabled is not read by its name, though older ones are enabled', async () => {
    const { body: old } = await call('PUT', '/secrets/half', { value: 'old' });
    await call('PUT', '/secrets/half', { value: 'new', attributes: { enabled: false } });
    assert.deepEqual(errorOf(await call('GET', '/secrets/half')), [403, 'Forbidden', 'SecretDisabled']);
    assert.equal((await call('GET', old.id.slice(service.url.length))).body.value, 'old');
  });

  test('that is not there is 404, by name and by version; its versions are an empty list', async () => {
    const { status, body } = await call('GET', '/secrets/nothing');
    assert.equal(status, 404);
    assert.equal(body.error.code, 'SecretNotFound');
    assert.match(body.error.message, /^A secret with \(name\/id\) nothing was not found in this key vault\. /);
    await call('PUT', '/secrets/something', { value: 'x' });
    assert.deepEqual(errorOf(await call('GET', `/secrets/something/${'0'.repeat(32)}`)), [
      404,
      'SecretNotFound',
      undefined,
    ]);
    assert.deepEqual((await call('GET', '/secrets/nothing/versions')).body, { value: [], nextLink: null });
  });
});

describe('lists', () => {
  test('come in pages of 25, and each says where the next one is', async () => {
    for (let i = 0; i < 30; i++) await call('PUT', '/secrets/many', { value: String(i) });
    const { body: first } = await call('GET', '/secrets/many/versions');
    assert.equal(first.value.length, 25);
    assert.ok(
      first.value.every((item: object) => !('value' in item)),
      'no list holds a value',
    );
    const next = new URL(first.nextLink);
    assert.equal(next.origin, service.url);
    assert.deepEqual([...next.searchParams.keys()].sort(), ['$skiptoken', 'api-version', 'maxresults']);
    const { body: second } = await call('GET', next.pathname + next.search);
    assert.equal(second.value.length, 5);
    assert.equal(second.nextLink, null);
    const ids = [...first.value, ...second.value].map(({ id }: { id: string }) => id);
    assert.deepEqual(ids, [...ids].sort(), 'in the order of the ids');
    assert.equal((await call('GET', '/secrets/many/versions?maxresults=7')).body.value.length, 7);
    for (const wrong of ['0', '26', 'x']) {
      assert.deepEqual(errorOf(await call('GET', `/secrets?maxresults=${wrong}`)), [400, 'BadParameter', undefined]);
    }
  });

  test('of secrets name each once, without a version', async () => {
    await call('PUT', '/secrets/listed', { value: '1' });
    await call('PUT', '/secrets/listed', { value: '2' });
    const { body } = await call('GET', '/secrets');
    const ids = body.value.map(({ id }: { id: string }) => id);
    assert.equal(ids.filter((id: string) => id === `${service.url}/secrets/listed`).length, 1);
  });
});

describe('deleting', () => {
  test('takes a while, then can be undone or made final, and until then keeps the name', async () => {
    await call('PUT', '/secrets/gone', { value: 'one' });
    const { body: set } = await call('PUT', '/secrets/gone', { value: 'two' });
    const { status, body: deleted } = await call('DELETE', '/secrets/gone');
    assert.equal(status, 200);
    const deletedDate = Math.floor(now / 1000);
    assert.deepEqual(deleted, {
      recoveryId: `${service.url}/deletedsecrets/gone`,
      deletedDate,
      scheduledPurgeDate: deletedDate + 90 * 86_400,
      id: set.id,
      attributes: set.attributes,
    });
    const notFound = [404, 'SecretNotFound', undefined];
    assert.deepEqual(errorOf(await call('GET', '/secrets/gone')), notFound);
    assert.deepEqual(errorOf(await call('DELETE', '/secrets/gone')), notFound);
    const early = await call('GET', '/deletedsecrets/gone');
    assert.deepEqual(errorOf(early), notFound);
    assert.equal(early.body.error.message, 'Deleted Secret not found: gone');
    assert.deepEqual(errorOf(await call('PUT', '/secrets/gone', { value: 'x' })), [
      409,
      'Conflict',
      'ObjectIsBeingDeleted',
    ]);
    now += 10_000;
    assert.deepEqual((await call('GET', '/deletedsecrets/gone')).body, deleted);
    const listed = (await call('GET', '/deletedsecrets')).body.value as { recoveryId: string }[];
    assert.ok(listed.some(({ recoveryId }) => recoveryId === deleted.recoveryId));
    assert.deepEqual(errorOf(await call('PUT', '/secrets/gone', { value: 'x' })), [
      409,
      'Conflict',
      'ObjectIsDeletedButRecoverable',
    ]);

    const recovered = await call('POST', '/deletedsecrets/gone/recover');
    assert.deepEqual([recovered.status, recovered.body], [200, { id: set.id, attributes: set.attributes }]);
    assert.deepEqual(errorOf(await call('GET', '/secrets/gone')), notFound, 'recovering takes a while too');
    assert.deepEqual(errorOf(await call('PUT', '/secrets/gone', { value: 'x' })), [
      409,
      'Conflict',
      'ObjectIsBeingRecovered',
    ]);
    now += 5_000;
    assert.equal((await call('GET', '/secrets/gone')).body.value, 'two');
    assert.equal((await call('GET', '/secrets/gone/versions')).body.value.length, 2);

    await call('DELETE', '/secrets/gone');
    assert.deepEqual(errorOf(await call('DELETE', '/deletedsecrets/gone')), notFound, 'not before it is deleted');
    now += 10_000;
    const purged = await call('DELETE', '/deletedsecrets/gone');
    assert.deepEqual([purged.status, purged.body], [204, null]);
    assert.deepEqual(errorOf(await call('GET', '/deletedsecrets/gone')), notFound);
    assert.deepEqual(errorOf(await call('POST', '/deletedsecrets/gone/recover')), notFound);
    now += 5_000;
    assert.equal((await call('PUT', '/secrets/gone', { value: 'anew' })).status, 200);
    assert.equal((await call('GET', '/secrets/gone/versions')).body.value.length, 1);
  });

  test('in a vault with purge protection cannot be made final', async () => {
    const guarded = await startKeyVault({ purgeProtection: true, recoverableDays: 7 });
    try {
      guarded.store.set('a', { value: 'x' });
      guarded.store.delete('a');
      await new Promise((resolve) => setTimeout(resolve, 250));
      const headers = { authorization: `Bearer ${guarded.token}` };
      const path = `${guarded.url}/deletedsecrets/a?api-version=7.4`;
      const found = await (await fetch(path, { headers })).text();
      assert.match(found, /"recoveryLevel":"CustomizedRecoverable","recoverableDays":7/);
      const refused = await fetch(path, { method: 'DELETE', headers });
      assert.equal(refused.status, 403);
      assert.match(await refused.text(), /Operation \\"purge\\" is not allowed because purge protection/);
    } finally {
      await guarded.stop();
    }
  });
});

describe('what is wrong', () => {
  const wrong: readonly (readonly [string, string, string, unknown, number])[] = [
    ['a call without a version of the API', 'GET', '/secrets/a?api-version', undefined, 400],
    ['a version of the API that is none', 'GET', '/secrets/a?api-version=1', undefined, 400],
    ['a name with an underscore', 'GET', '/secrets/a_b', undefined, 400],
    ['a name that is too long', 'GET', `/secrets/${'a'.repeat(128)}`, undefined, 400],
    ['a version that is none', 'GET', '/secrets/a/latest', undefined, 400],
    ['a body that is no JSON', 'PUT', '/secrets/a', '{', 400],
    ['a secret without a value', 'PUT', '/secrets/a', {}, 400],
    ['a value beyond 25 kB', 'PUT', '/secrets/a', { value: 'x'.repeat(25_601) }, 400],
    ['more tags than fifteen', 'PUT', '/secrets/a', { value: 'x', tags: Object.fromEntries(sixteen()) }, 400],
    ['a tag of 257 characters', 'PUT', '/secrets/a', { value: 'x', tags: { a: 'b'.repeat(257) } }, 400],
    ['an end before the beginning', 'PUT', '/secrets/a', { value: 'x', attributes: { nbf: 2, exp: 1 } }, 400],
    ['a way that leads nowhere', 'GET', '/keys/a', undefined, 404],
    ['a method that is not for this', 'POST', '/secrets/a', { value: 'x' }, 405],
  ];
  for (const [what, method, path, body, status] of wrong) {
    test(`${what} is answered ${status} with a code`, async () => {
      const answered = await call(method, path, body);
      assert.equal(answered.status, status);
      assert.match(answered.body.error.code, /^[A-Z]\w+$/);
      assert.equal(typeof answered.body.error.message, 'string');
    });
  }

  test('a caller without the role is answered 403, with the action that was missing', async () => {
    service.denied.add('set');
    const { status, body } = await call('PUT', '/secrets/denied', { value: 'x' });
    service.denied.clear();
    assert.deepEqual([status, body.error.code, body.error.innererror.code], [403, 'Forbidden', 'ForbiddenByRbac']);
    assert.match(body.error.message, /Microsoft\.KeyVault\/vaults\/secrets\/setSecret\/action/);
  });
});

function sixteen(): [string, string][] {
  return Array.from({ length: 16 }, (_, index) => [`tag${index}`, '']);
}
