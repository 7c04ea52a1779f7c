import { noLongerEnrolled } from '../domain/unenrolled.ts';

/** A call to the broker that did not bring what was asked for. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  /** The status the broker answered with; null when there was no (usable) answer. */
  readonly status: number | null;
  /** Milliseconds that the broker asks to wait before the next try. */
  readonly retryAfter: number | null;
  /** The `type` of the problem details (RFC 9457) that it answered with; null when it gave none. */
  readonly problem: string | null;

  constructor(
    message: string,
    status: number | null,
    retryAfter: number | null = null,
    cause?: unknown,
    problem: string | null = null,
  ) {
    super(message, { cause });
    this.status = status;
    this.retryAfter = retryAfter;
    this.problem = problem;
  }
}

/** True of the broker's answer to a device that was taken out: it need not ask again. */
export function isUnenrolled(error: unknown): boolean {
  return error instanceof BrokerError && error.status === 401 && error.message === noLongerEnrolled;
}

export interface BrokerCall {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly bearer?: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  /** The one status that means success; any of 200 to 299 when not given. */
  readonly success?: number;
  /** Milliseconds for the whole call, 5,000 when not given. */
  readonly timeout?: number;
  /** The longest answer that is read, in bytes; 64 KiB when not given. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * The broker's address as configured, without a trailing slash.
 * @throws BrokerError for anything but https, or plain http to a loopback address, or with user information in it.
 */
export function requireBrokerUrl(text: string): string {
  const url = URL.parse(text);
  const isLoopback = url !== null && /^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(url.hostname);
  if (!url || (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback))) {
    throw new BrokerError(`\`${text}\` is no address for a broker: use https, or plain http on loopback only`, null);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new BrokerError('a broker address has no user information, query or fragment', null);
  }
  return url.href.replace(/\/$/, '');
}

/**
 * Calls the broker and reads a JSON answer, bounded in time and size, following no redirect.
 * @throws BrokerError for every other outcome, with the broker's own words where it gave any.
 */
export async function callBroker(url: string, call: BrokerCall = {}): Promise<unknown> {
  const text = await fetchText(url, call);
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new BrokerError(`the answer of \`${new URL(url).pathname}\` is not JSON`, null);
  }
}

/** As `callBroker`, for an answer that is plain text. */
export async function fetchText(url: string, call: BrokerCall = {}): Promise<string> {
  const deadline = AbortSignal.timeout(call.timeout ?? 5_000);
  const signal = call.signal ? AbortSignal.any([deadline, call.signal]) : deadline;
  const response = await openBroker(url, { ...call, signal });
  const text = await readBounded(response, call.maxBytes ?? 65_536);
  if (!response.ok) throw refusedBy(response, text);
  if (call.success !== undefined && response.status !== call.success) {
    throw new BrokerError(`\`${new URL(url).pathname}\` was answered with ${response.status}`, response.status);
  }
  return text;
}

/** Starts a call and returns as soon as the headers are there; the body is the caller's to read and to bound. */
export async function openBroker(url: string, call: BrokerCall): Promise<Response> {
  const headers: Record<string, string> = {};
  if (call.bearer !== undefined) headers['authorization'] = `Bearer ${call.bearer}`;
  if (call.json !== undefined) headers['content-type'] = 'application/json';
  const init: RequestInit = { method: call.method ?? 'GET', headers, redirect: 'error' };
  if (call.json !== undefined) init.body = JSON.stringify(call.json);
  if (call.form !== undefined) init.body = new URLSearchParams(call.form);
  if (call.signal) init.signal = call.signal;
  try {
    return await fetch(url, init);
  } catch (error) {
    throw new BrokerError(`the broker cannot be reached at \`${new URL(url).origin}\``, null, null, error);
  }
}

/** Turns an answer that is no success into an error with the broker's own detail. */
export function refusedBy(response: Response, text: string): BrokerError {
  const wait = Number(response.headers.get('retry-after') ?? Number.NaN);
  const { detail, problem } = problemIn(text);
  const message = detail ?? `the broker answered ${response.status}`;
  return new BrokerError(message, response.status, Number.isFinite(wait) ? wait * 1_000 : null, undefined, problem);
}

/** Reads a body of at most that many bytes. @throws BrokerError when there is more. */
export async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength;
      if (size > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new BrokerError('the connection to the broker was lost within an answer', null, null, error);
  }
  if (size > maxBytes) throw new BrokerError(`the broker's answer is longer than ${maxBytes} bytes`, null);
  return Buffer.concat(chunks).toString('utf8');
}

function problemIn(text: string): { readonly detail: string | null; readonly problem: string | null } {
  try {
    const { detail, error_description: description, error, type } = JSON.parse(text) as Record<string, unknown>;
    const found = [detail, description, error].find((part) => typeof part === 'string');
    return {
      detail: found === undefined ? null : found.slice(0, 500),
      problem: typeof type === 'string' ? type.slice(0, 200) : null,
    };
  } catch {
    return { detail: null, problem: null };
  }
}
