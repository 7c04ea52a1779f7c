/** Statements that make one thing each, whole unless told otherwise; values are SQL. */

export const id = (prefix: string, n: number): string => `'${prefix}_${String(n).padStart(26, '0')}'`;
export const [ada, ben, chloe] = [id('per', 1), id('per', 2), id('per', 3)];
export const [contoso, fabrikam] = [id('ten', 1), id('ten', 2)];
export const [boardroom, studio] = [id('dev', 1), id('dev', 2)];
/** Requests: pending, and granted. Grants: active, revoked, expired. */
export const [pending, granted, revoked, expired] = [id('req', 1), id('req', 2), id('req', 3), id('req', 4)];
export const [active, ended, over] = [id('grt', 2), id('grt', 3), id('grt', 4)];
export const sha = String.raw`sha256('x')`;

export const request = (values: object = {}): string =>
  insert('requests', {
    id: id('req', 9),
    state: `'pending'`,
    requester: ada,
    tenant: contoso,
    profile: `'remediate'`,
    devices: `ARRAY[${boardroom}]`,
    scopes: `'{device.inspect}'`,
    data_classes: `'{}'`,
    duration: '600',
    longest: '3600',
    longest_total: '7200',
    stages: `'[]'`,
    reason: sha,
    created_at: 'now()',
    lapses_at: `now() + interval '1 hour'`,
    policy_digest: `'digest'`,
    ...values,
  });
export const grant = (values: object = {}): string =>
  insert('grants', {
    id: id('grt', 9),
    request: pending,
    person: ada,
    tenant: contoso,
    profile: `'remediate'`,
    scopes: `'{device.inspect}'`,
    duration: '600',
    starts_at: `now() - interval '5 minutes'`,
    expires_at: `now() + interval '5 minutes'`,
    ...values,
  });
export const device = (values: object = {}): string =>
  insert('devices', {
    id: id('dev', 9),
    tenant: contoso,
    name: `'room'`,
    public_key: `'{}'`,
    key_thumbprint: `'another'`,
    enrolled_at: 'now()',
    ...values,
  });
export const decision = (values: object = {}): string =>
  insert('decisions', {
    request: pending,
    requester: ada,
    person: chloe,
    verdict: `'approve'`,
    stage: `'lead'`,
    decided_at: 'now()',
    ...values,
  });
export const credential = (values: object = {}): string =>
  insert('credentials', {
    id: id('crd', 9),
    grant_id: active,
    device: boardroom,
    person: ada,
    hash: sha,
    issued_at: 'now()',
    expires_at: `now() + interval '5 minutes'`,
    ...values,
  });
export const alarm = (values: object = {}): string =>
  insert('alarms', { id: id('alm', 9), kind: `'break-glass-used'`, subject: active, since: 'now()', ...values });
export const notice = (values: object = {}): string =>
  insert('notices', { id: id('ntc', 9), kind: `'grant-revoked'`, subject: active, created_at: 'now()', ...values });
export const code = (values: object = {}): string =>
  insert('enrolment_codes', {
    code_hash: `'new'`,
    tenant: contoso,
    created_by: chloe,
    created_at: 'now()',
    expires_at: `now() + interval '1 hour'`,
    ...values,
  });
export const session = (values: object = {}): string =>
  insert('sessions', {
    id: id('ses', 9),
    device: boardroom,
    grant_id: active,
    person: ada,
    tenant: contoso,
    credential: id('crd', 1),
    scopes: `'{}'`,
    started_at: 'now()',
    ...values,
  });

export function insert(table: string, values: Record<string, string>): string {
  return `INSERT INTO ${table} (${Object.keys(values).join(', ')}) VALUES (${Object.values(values).join(', ')})`;
}
export const deviceSecret = (values: object = {}): string =>
  insert('device_secrets', { device: studio, tenant: contoso, wanted: '1', wanted_at: 'now()', ...values });
export const generation = (values: object = {}): string =>
  insert('secret_generations', {
    device: boardroom,
    generation: '3',
    vault_version: `'v'`,
    salt: `'0123456789abcdef'`,
    event: id('evt', 1),
    leaf: `'{}'`,
    ...values,
  });
export const secretRelease = (values: object = {}): string =>
  insert('secret_releases', {
    grant_id: active,
    device: studio,
    generations: `'{2}'`,
    one_time_key: `'key'`,
    released_at: 'now()',
    event: id('evt', 1),
    leaf: `'{}'`,
    ...values,
  });

export const change = (table: string, row: string, set: string): string =>
  `UPDATE ${table} SET ${set} WHERE id = ${row}`;

const endings = { ended_at: 'now()', expires_at: `now() + interval '1 hour'` };
/** A small world in which every rule can be broken, as statements. */
export const world = [
  ...[1, 2, 3].map(
    (n) => `INSERT INTO persons (id, issuer, subject, claims_at) VALUES (${id('per', n)}, 'issuer', 's${n}', now())`,
  ),
  `INSERT INTO personal_data (person, kind, value) VALUES (${ada}, 'name', 'Ada')`,
  `INSERT INTO tenants (id, slug, name, region) VALUES (${contoso}, 'contoso', 'C', 'EU'), (${fabrikam}, 'fabrikam', 'F', 'EU')`,
  device({ id: boardroom, key_thumbprint: `'one'` }),
  device({ id: studio, key_thumbprint: `'two'` }),
  code({ code_hash: `'used'`, used_by: boardroom }),
  code({ code_hash: `'unused'` }),
  request({ id: pending }),
  ...[2, 3, 4].map((n) =>
    request({ id: id('req', n), state: `'granted'`, decided_at: 'now()', grant_id: id('grt', n) }),
  ),
  grant({ id: active, request: granted, key_thumbprint: `'key'` }),
  grant({ id: ended, request: revoked, ending: `'revoked'`, ...endings }),
  grant({
    id: over,
    request: expired,
    expires_at: `now() - interval '1 minute'`,
    expiry_recorded_at: 'now()',
    review_verdict: `'justified'`,
    review_by: chloe,
  }),
  alarm({ id: id('alm', 1) }),
  session({ id: id('ses', 1), ended_at: 'now()', end_cause: `'closed'` }),
  session({ id: id('ses', 2) }),
  deviceSecret({ device: boardroom, wanted: '3', confirmed: '2' }),
  secretRelease({ device: boardroom }),
  insert('signing_keys', {
    name: `'ledger'`,
    version: `'one'`,
    key: `'vkey'`,
    recorded_at: 'now()',
    proof: `'proof'`,
    proved_at: 'now()',
    withdrawn_at: 'now()',
  }),
].join(';\n');
