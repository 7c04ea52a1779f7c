import type {
  AccessRequest,
  Alarm,
  Device,
  Grant,
  Me,
  Minted,
  Narrow,
  Notice,
  Page,
  Profile,
  SignInProvider,
} from './answers.ts';
import { makeProof, type EngineerKey } from './key.ts';
import type { OneTimeKey } from './one-time-key.ts';
import type { Transport } from './transport.ts';

/** What a list is asked for; a repeated value means any of them. */
export type Filter = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface NewRequest {
  readonly profile: string;
  readonly devices: readonly string[];
  readonly duration: string;
  readonly reason: string;
  readonly ticket?: string;
  readonly startsAt?: string;
}

export interface NewDecision {
  readonly verdict: 'approve' | 'deny';
  readonly stage?: string;
  readonly comment?: string;
  readonly narrow?: Narrow;
}

/** The broker's API, a function a route (contract §3 to §5). Every one throws Failure. */
export interface Client {
  readonly url: string;
  clockOffset(): number;
  signInProviders(): Promise<readonly SignInProvider[]>;
  me(): Promise<Me>;
  profiles(): Promise<Pick<Page<Profile>, 'items'>>;
  devices(filter: Filter, limit: number): Promise<Page<Device>>;
  device(id: string): Promise<Device>;
  requests(filter: Filter, limit: number): Promise<Page<AccessRequest>>;
  /** With `wait`, answers at the next change or after so many seconds. */
  request(id: string, wait?: number): Promise<AccessRequest>;
  ask(request: NewRequest, dryRun: boolean): Promise<AccessRequest>;
  decide(id: string, decision: NewDecision): Promise<AccessRequest>;
  cancel(id: string): Promise<AccessRequest>;
  grants(filter: Filter, limit: number): Promise<Page<Grant>>;
  grant(id: string): Promise<Grant>;
  extend(id: string, duration: string, reason: string): Promise<AccessRequest>;
  release(id: string): Promise<Grant>;
  revoke(id: string, reason: string): Promise<Grant>;
  review(id: string, verdict: string, comment: string | undefined): Promise<Grant>;
  mint(grant: string, device: string, key: EngineerKey, now: () => number): Promise<Minted>;
  /** The local administrator's password of a device, as it came: encrypted to the one-time key. */
  secret(
    grant: string,
    device: string,
    key: EngineerKey,
    oneTimeKey: OneTimeKey,
    now: () => number,
  ): Promise<{ readonly secret: unknown; readonly rotatesBy: string }>;
  alarms(filter: Filter, limit: number): Promise<Page<Alarm>>;
  notices(filter: Filter, limit: number): Promise<Page<Notice>>;
}

const largestPage = 200;

export function openClient(transport: Transport): Client {
  const get = (path: string, patience = 0) => transport.call({ method: 'GET', path, patience });
  const post = (path: string, body: unknown) => transport.call({ method: 'POST', path, body });

  /** Follows the cursor until there are `limit` items; `next` is null when those were all. */
  async function list<T>(path: string, filter: Filter, limit: number): Promise<Page<T>> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const ask = {
        ...filter,
        limit: String(Math.min(limit - items.length, largestPage)),
        cursor: cursor ?? undefined,
      };
      const page = (await get(`${path}?${query(ask)}`)) as Page<T>;
      items.push(...page.items);
      cursor = page.next;
    } while (cursor !== null && items.length < limit);
    return { items, next: cursor };
  }

  return {
    url: transport.url,
    clockOffset: () => transport.clockOffset(),
    signInProviders: async () => ((await get('/v1/sign-in')) as { providers: readonly SignInProvider[] }).providers,
    me: async () => (await get('/v1/me')) as Me,
    profiles: async () => (await get('/v1/profiles')) as Pick<Page<Profile>, 'items'>,
    devices: (filter, limit) => list('/v1/devices', filter, limit),
    device: async (id) => (await get(`/v1/devices/${segment(id)}`)) as Device,
    requests: (filter, limit) => list('/v1/requests', filter, limit),
    request: async (id, wait) =>
      (await get(`/v1/requests/${segment(id)}${wait ? `?wait=${wait}` : ''}`, wait)) as AccessRequest,
    ask: async (request, dryRun) =>
      (await post(`/v1/requests${dryRun ? '?dryRun=true' : ''}`, request)) as AccessRequest,
    decide: async (id, decision) => (await post(`/v1/requests/${segment(id)}/decisions`, decision)) as AccessRequest,
    cancel: async (id) => (await post(`/v1/requests/${segment(id)}/cancel`, {})) as AccessRequest,
    grants: (filter, limit) => list('/v1/grants', filter, limit),
    grant: async (id) => (await get(`/v1/grants/${segment(id)}`)) as Grant,
    extend: async (id, duration, reason) =>
      (await post(`/v1/grants/${segment(id)}/extensions`, { duration, reason })) as AccessRequest,
    release: async (id) => (await post(`/v1/grants/${segment(id)}/release`, {})) as Grant,
    revoke: async (id, reason) => (await post(`/v1/grants/${segment(id)}/revoke`, { reason })) as Grant,
    review: async (id, verdict, comment) =>
      (await post(`/v1/grants/${segment(id)}/review`, { verdict, comment })) as Grant,
    mint: async (grant, device, key, now) =>
      (await transport.call({
        method: 'POST',
        path: `/v1/grants/${segment(grant)}/credentials`,
        body: { device },
        headersFor: async (url) => ({
          dpop: await makeProof(key, { method: 'POST', url, at: now() + transport.clockOffset() }),
        }),
      })) as Minted,
    secret: async (grant, device, key, oneTimeKey, now) => {
      const at = now() + transport.clockOffset();
      const proof = await oneTimeKey.proof(key, { url: transport.url, grant, device, at });
      // Repeats carry the same body, and so the same one-time key: an answer that was lost is given again.
      return (await post(`/v1/grants/${segment(grant)}/secrets`, { device, proof })) as {
        secret: unknown;
        rotatesBy: string;
      };
    },
    alarms: (filter, limit) => list('/v1/alarms', filter, limit),
    notices: (filter, limit) => list('/v1/notices', filter, limit),
  };
}

function query(filter: Filter): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    for (const one of typeof value === 'string' ? [value] : (value ?? [])) params.append(name, one);
  }
  return params.toString();
}

function segment(id: string): string {
  return encodeURIComponent(id);
}
