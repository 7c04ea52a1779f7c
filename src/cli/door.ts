import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { ListedAction } from '../agent/list-actions.ts';
import type { InputMistake } from '../domain/errors.ts';
import type { Minted } from './answers.ts';
import { callDoor, type DoorAddress, type DoorCall } from './door-transport.ts';
import { Failure } from './failure.ts';
import { jsonLines } from './json-lines.ts';
import { makeProof, type EngineerKey } from './key.ts';
import { refusalWords } from './refusals.ts';

/** What the agent says of a session it has opened or renewed. */
export interface OpenedSession {
  readonly session: string;
  readonly scopes: readonly string[];
  readonly expiresAt: string;
  readonly renewBefore: string;
}

/** A piece of what an action writes, or its end. */
export type ActionLine =
  | { readonly stream: 'stdout' | 'stderr'; readonly data: string }
  | { readonly exit: number }
  | { readonly ended: string };

/** The door of one device (contract §8): every call carries the credential and a fresh proof of the key. */
export interface Door {
  open(minted: Minted, signal: AbortSignal): Promise<OpenedSession>;
  renew(session: string, minted: Minted, signal: AbortSignal): Promise<OpenedSession>;
  /** The lines of an action as they come. @throws Failure when refused; whatever the stream throws when it is cut. */
  act(
    session: string,
    minted: Minted,
    scope: string,
    args: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): AsyncGenerator<ActionLine>;
  /** What can be done in the session, as the device says; null of one that does not say. */
  actions(session: string, minted: Minted, signal: AbortSignal): Promise<readonly ListedAction[] | null>;
  close(session: string, minted: Minted): Promise<void>;
}

const secondsForShortCalls = 15;
const secondsToClose = 3;

/** @param clock milliseconds since the epoch, by the broker's clock. */
export function openDoor(address: DoorAddress, key: EngineerKey, clock: () => number): Door {
  async function call(
    method: DoorCall['method'],
    path: string,
    minted: Minted,
    body: unknown,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const url = address.url + path;
    const { credential, receipt } = minted;
    const headers: Record<string, string> = {
      authorization: `DPoP ${credential}`,
      dpop: await makeProof(key, { method, url, credential, at: clock() }),
    };
    if (receipt !== undefined) headers['latchkey-receipt'] = Buffer.from(receipt, 'utf8').toString('base64');
    if (body !== undefined) headers['content-type'] = 'application/json';
    const response = await callDoor(address, {
      method,
      url,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
    if ((response.statusCode ?? 500) >= 300) throw await doorFailure(response, address.name);
    return response;
  }

  async function session(method: 'POST' | 'PUT', path: string, minted: Minted, signal: AbortSignal) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(secondsForShortCalls * 1000)]);
    const response = await call(method, path, minted, undefined, limit);
    return JSON.parse(await text(response)) as OpenedSession;
  }

  return {
    open: (minted, signal) => session('POST', '/sessions', minted, signal),
    renew: (id, minted, signal) => session('PUT', `/sessions/${encodeURIComponent(id)}`, minted, signal),
    async *act(id, minted, scope, args, signal) {
      const path = `/sessions/${encodeURIComponent(id)}/actions/${encodeURIComponent(scope).replaceAll('%3A', ':')}`;
      const response = await call('POST', path, minted, { args }, signal);
      yield* jsonLines(response) as AsyncGenerator<ActionLine>;
    },
    async actions(id, minted, signal) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(secondsForShortCalls * 1000)]);
      const path = `/sessions/${encodeURIComponent(id)}/actions`;
      try {
        const answer = JSON.parse(await text(await call('GET', path, minted, undefined, limit))) as unknown;
        return (answer as { readonly actions: readonly ListedAction[] }).actions;
      } catch (thrown) {
        const status = thrown instanceof Failure ? thrown.problem?.['status'] : null;
        if (status === 404 || status === 405) return null;
        throw thrown;
      }
    },
    async close(id, minted) {
      const path = `/sessions/${encodeURIComponent(id)}`;
      const response = await call('DELETE', path, minted, undefined, AbortSignal.timeout(secondsToClose * 1000));
      response.resume();
    },
  };
}

const refusalPrefix = 'urn:latchkey:refusal:';

async function doorFailure(response: IncomingMessage, name: string): Promise<Failure> {
  const body = await text(response).catch(() => '');
  const problem = parseProblem(body);
  const type = typeof problem?.type === 'string' ? problem.type : '';
  if (type.startsWith(refusalPrefix)) {
    const { sentence, hint } = refusalWords(type.slice(refusalPrefix.length));
    return new Failure('refused', `\`${name}\`: ${sentence}`, { hint, problem: { ...problem } });
  }
  const detail = typeof problem?.detail === 'string' ? problem.detail : `status ${response.statusCode}`;
  // What it does not take is ours to put right.
  const kind = response.statusCode === 400 ? 'usage' : 'failed';
  return new Failure(kind, `\`${name}\` did not do it: ${detail}`, {
    errors: mistakesIn(problem?.errors),
    ...(problem && { problem: { ...problem } }),
  });
}

function mistakesIn(errors: unknown): InputMistake[] {
  const isMistake = (each: unknown): each is InputMistake =>
    typeof (each as InputMistake | null)?.pointer === 'string' && typeof (each as InputMistake).message === 'string';
  return Array.isArray(errors) ? errors.filter(isMistake) : [];
}

interface Problem {
  readonly type?: unknown;
  readonly detail?: unknown;
  readonly errors?: unknown;
}

function parseProblem(body: string): Problem | null {
  try {
    const value = JSON.parse(body) as unknown;
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    return null;
  }
}
