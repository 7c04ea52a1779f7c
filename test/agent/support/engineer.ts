import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId, type GrantId, type PersonId } from '../../../src/domain/ids.ts';
import { makeProof, newSigningKey, signToken, type SigningKey } from './signing-key.ts';
import type { ListedGrant, TestBroker } from './test-broker.ts';

export interface DoorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: Record<string, unknown>;
  /** The lines of an action's answer. */
  readonly lines: readonly Record<string, unknown>[];
}

export interface DoorCall {
  readonly method: string;
  readonly path: string;
  readonly credential?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Called with what has come so far, each time more comes. */
  readonly onText?: (text: string) => void;
}

/** Someone with a key and a grant, at a door. */
export interface Engineer {
  readonly key: SigningKey;
  readonly person: PersonId;
  readonly grant: GrantId;
  listed(changes?: Partial<ListedGrant>): ListedGrant;
  credential(claims?: object): Promise<string>;
  call(doorUrl: string, call: DoorCall): Promise<DoorAnswer>;
  /** Opens a session and returns its path. */
  open(doorUrl: string, credential: string): Promise<string>;
  /** As `open`, once the agent has heard of the grant. */
  openSoon(doorUrl: string, credential: string): Promise<string>;
}

export async function newEngineer(broker: TestBroker, scopes: readonly string[]): Promise<Engineer> {
  const [person, grant] = [newId('person', Date.now()), newId('grant', Date.now())];
  const key = await newSigningKey();
  const engineer: Engineer = {
    key,
    person,
    grant,
    listed: (changes = {}) => ({
      id: grant,
      person,
      scopes,
      startsAt: new Date(Date.now() - 60_000).toISOString(),
      expiresAt: new Date(Date.now() + 600_000).toISOString(),
      ...changes,
    }),
    credential(claims = {}) {
      const iat = Math.floor(Date.now() / 1_000);
      const { url: iss, device, tenant, credentialKey } = broker;
      const about = { iss, sub: person, aud: `urn:latchkey:device:${device}`, client_id: 'latchkey', grant, tenant };
      const times = { jti: newId('credential', Date.now()), iat, nbf: iat, exp: iat + 300 };
      const rest = { scope: scopes.join(' '), cnf: { jkt: key.kid } };
      const header = { typ: 'at+jwt', kid: credentialKey.kid };
      return signToken(credentialKey, header, { ...about, ...times, ...rest, ...claims });
    },
    async call(doorUrl, { method, path, credential, body, headers = {}, onText }) {
      const url = `${doorUrl}${path}`;
      const signed: Record<string, string> =
        credential === undefined
          ? {}
          : {
              authorization: `DPoP ${credential}`,
              dpop: await makeProof(key, { method, url, credential, now: Date.now() }),
            };
      // Only what opens or renews a session needs a receipt.
      const needsReceipt = credential !== undefined && (path === '/sessions' || method === 'PUT');
      if (needsReceipt) signed['latchkey-receipt'] = await broker.ledger.header(credential);
      const typed: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      return send(url, { method, headers: { ...signed, ...typed, ...headers } }, text, onText);
    },
    async open(doorUrl, credential) {
      const { status, json, text } = await engineer.call(doorUrl, { method: 'POST', path: '/sessions', credential });
      if (status !== 201) throw new Error(`no session: ${status} ${text}`);
      return `/sessions/${json['session'] as string}`;
    },
    async openSoon(doorUrl, credential) {
      for (let tries = 0; ; tries++) {
        try {
          return await engineer.open(doorUrl, credential);
        } catch (error) {
          if (tries >= 500 || !String(error).includes('grant-not-live')) throw error;
          await sleep(10);
        }
      }
    },
  };
  return engineer;
}

interface Head {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
}

/** Plain node:http, since `fetch` would not send a header twice. */
function send(url: string, head: Head, body?: string, onText?: (text: string) => void): Promise<DoorAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { ...head, agent: false }, (response) => {
      let text = '';
      const done = () => resolve(answerOf(response.statusCode!, response.headers, text));
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        onText?.(text);
      });
      response.on('end', done);
      response.on('error', done);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function answerOf(status: number, headers: DoorAnswer['headers'], text: string): DoorAnswer {
  const lines = String(headers['content-type']).includes('ndjson') ? text.trim().split('\n') : [];
  const json = String(headers['content-type']).includes('json') && lines.length === 0 && text ? text : '{}';
  return {
    status,
    headers,
    text,
    json: JSON.parse(json) as Record<string, unknown>,
    lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}
