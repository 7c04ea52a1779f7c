import type { IncomingMessage, ServerResponse } from 'node:http';
import type { InputMistake } from '../domain/errors.ts';
import { Refusal, type RefusalCode } from './refusal.ts';

/** What a call at the door can fail with beside a refusal; codes and statuses are those of contract §4. */
const problemStatus = {
  'invalid-request': 400,
  'not-found': 404,
  'method-not-allowed': 405,
  conflict: 409,
  'too-large': 413,
  'unsupported-media-type': 415,
  unavailable: 503,
} as const;

export class DoorError extends Error {
  override readonly name = 'DoorError';
  readonly code: keyof typeof problemStatus;
  /** What is wrong with the body, each with its JSON pointer. */
  readonly errors: readonly InputMistake[];

  constructor(code: keyof typeof problemStatus, message: string, errors: readonly InputMistake[] = []) {
    super(message);
    this.code = code;
    this.errors = errors;
  }
}

export const longestBody = 16_384;

/**
 * Reads a JSON body of at most 16 KiB; an absent one is null.
 * @throws DoorError for one that is longer, compressed, of another type, or not JSON.
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Without `destroyOnReturn: false`, a body that is too long would take the connection, and the answer, with it.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > longestBody) throw new DoorError('too-large', `a body may have ${longestBody} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return null;
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json' || request.headers['content-encoding'] !== undefined) {
    throw new DoorError('unsupported-media-type', 'a body must be plain `application/json`');
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new DoorError('invalid-request', 'the body is not JSON');
  }
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

/** Answers a refusal or a failure as RFC 9457 problem details. A failure of the agent's own is a 500 without detail. */
export function sendProblem(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const { type, status, detail } = problemOf(error);
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    // A body that was not read to its end must not be taken for the next call.
    connection: 'close',
  };
  if (status === 401) headers['www-authenticate'] = challenge(error);
  if (status === 503) headers['retry-after'] = '1';
  response.writeHead(status, headers);
  const errors = error instanceof DoorError && error.errors.length > 0 ? { errors: error.errors } : {};
  response.end(JSON.stringify({ type, title: titleOf(type), status, detail, ...errors }));
}

function problemOf(error: unknown): { readonly type: string; readonly status: number; readonly detail: string } {
  if (error instanceof Refusal) {
    return { type: `urn:latchkey:refusal:${error.code}`, status: error.status, detail: error.message };
  }
  if (error instanceof DoorError) {
    return { type: `urn:latchkey:problem:${error.code}`, status: problemStatus[error.code], detail: error.message };
  }
  return { type: 'urn:latchkey:problem:internal', status: 500, detail: 'the agent failed' };
}

function titleOf(type: string): string {
  return type.slice(type.lastIndexOf(':') + 1).replaceAll('-', ' ');
}

/** RFC 9449 §7.1. */
function challenge(error: unknown): string {
  const proofCodes: readonly RefusalCode[] = ['bad-proof', 'replayed-proof'];
  const isProof = error instanceof Refusal && proofCodes.includes(error.code);
  return `DPoP error="${isProof ? 'invalid_dpop_proof' : 'invalid_token'}", algs="ES256"`;
}
