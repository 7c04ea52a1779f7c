import { idPrefixes, type IdKind } from '../../../src/domain/ids.ts';
import type { DocumentedRoute } from '../../support/api-document.ts';
import { people, type TestBroker } from '../../support/broker.ts';
import { newEngineerKey } from '../../support/engineer.ts';

/** A call as it was drawn. Texts such as `@grant:7` stand for ids of things that exist by the time it is made. */
export interface Drawn {
  readonly route: DocumentedRoute;
  readonly who: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const kinds = Object.keys(idPrefixes) as IdKind[];

/**
 * Who may be declared one human with another: those who neither ask nor decide. Were it anybody, all would soon be one,
 * and nobody could decide another's request any more.
 */
const linkable = ['ben', 'zed', 'aud', 'felix', 'dmitri'] as const satisfies readonly (keyof typeof people)[];

/** Ids and tokens of what exists, growing with what the answers tell. */
export async function worldOf(broker: TestBroker): Promise<{
  resolve(drawn: Drawn): Promise<{ path: string; headers: Record<string, string>; body: string | undefined }>;
  /** Sees to it that some requests wait and some grants are in force, whatever was done to those before. */
  renew(): Promise<void>;
  learn(text: string): void;
}> {
  const ids = new Map<string, string[]>(kinds.map((kind) => [kind, []]));
  const expendable = await Promise.all([1, 2, 3].map(() => broker.enrol(broker.contoso.id)));
  const tokens = new Map<string, string>();
  const personIds = new Map<string, string>();
  for (const [name, person] of Object.entries(people)) {
    tokens.set(name, await broker.issuer.tokenFor(person));
    personIds.set(name, (await broker.call(person, 'GET', '/v1/me')).body.id as string);
  }
  ids.get('person')!.push(...personIds.values());
  tokens.set('device', (await broker.contoso.devices[2]!.signIn()).body['access_token']!);
  tokens.set('rubbish', 'eyJhbGciOiJub25lIn0.e30.');
  ids.get('device')!.push(...[...broker.contoso.devices, ...broker.fabrikam.devices].map(({ id }) => id));
  ids.get('tenant')!.push(broker.contoso.id, broker.fabrikam.id);
  const key = await newEngineerKey();

  const unenrolled = expendable.map(({ id }) => id as string);
  const linked = linkable.map((name) => personIds.get(name)!);
  /** @param among which ids it may be; null is all of its kind. */
  const pick = (text: string, among: readonly string[] | null): string => {
    const [, kind, number] = /^@([a-z]+):(\d+)$/.exec(text) ?? [];
    if (kind === undefined) return text;
    const known = among ?? ids.get(kind) ?? [];
    return known.length > 0
      ? known[Number(number) % known.length]!
      : `${idPrefixes[kind as IdKind]}_00000000000000000000000000`;
  };
  const place = (value: unknown, among: readonly string[] | null): string => {
    const text = typeof value === 'string' ? pick(value, among) : (JSON.stringify(value) ?? '');
    return encodeURIComponent(text.toWellFormed());
  };
  const keep = (kind: IdKind, id: string): void => {
    const known = ids.get(kind)!;
    if (!known.includes(id)) known.push(id);
    if (known.length > 8) known.shift();
  };
  const deep = (value: unknown): unknown => {
    if (typeof value === 'string') return pick(value, null);
    if (Array.isArray(value)) return value.map(deep);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, deep(each)]));
  };

  return {
    async resolve({ route, who, params, query, headers, body }) {
      const among = route.method === 'DELETE' ? unenrolled : route.path.includes('/links/') ? linked : null;
      const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => place(params[name], among) || 'x');
      const pairs = Object.entries(query).flatMap(([name, value]) =>
        (Array.isArray(value) ? value : [value]).map(
          (each) => `${encodeURIComponent(name.toWellFormed())}=${place(each, null)}`,
        ),
      );
      const form = Object.keys(route.operation.requestBody?.content ?? {})[0]?.includes('form');
      const token = tokens.get(who);
      const text = body === undefined ? undefined : form ? formOf(deep(body)) : JSON.stringify(deep(body));
      const proof =
        headers['dpop'] === '@proof' ? await key.proof('POST', broker.config.publicUrl + path) : headers['dpop'];
      return {
        path: pairs.length > 0 ? `${path}?${pairs.join('&')}` : path,
        headers: {
          ...(text !== undefined && {
            'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json',
          }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...headers,
          // Node leaves it out where a body is unusual, and what follows would be taken for another call.
          ...(text !== undefined && { 'content-length': String(Buffer.byteLength(text)) }),
          ...(proof !== undefined && { dpop: proof }),
        },
        body: text,
      };
    },
    async renew() {
      for (const profile of ['remediate', 'remote-admin', 'remediate']) {
        keep('request', (await broker.ask('ada', profile)).id as string);
        keep('grant', (await broker.grant('ada', 'diagnose')).id as string);
      }
    },
    learn(text) {
      const { id, state, grant } = JSON.parse(text) as { id?: string; state?: string; grant?: { id: string } | null };
      if (id?.startsWith('req_') && state === 'pending') keep('request', id);
      if (id?.startsWith('grt_') && state === 'active') keep('grant', id);
      if (grant) keep('grant', grant.id);
    },
  };
}

function formOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return new URLSearchParams(
    Object.entries(value).map(
      ([name, each]) => [name, typeof each === 'string' ? each : JSON.stringify(each)] as [string, string],
    ),
  ).toString();
}
