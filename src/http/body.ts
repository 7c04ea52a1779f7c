import type { IncomingMessage } from 'node:http';
import { LatchkeyError, invalid } from '../domain/errors.ts';
import { parseStrictJson } from '../domain/strict-json.ts';

const longestBody = 65_536;
const deepest = 32;

/**
 * Reads a JSON body, whole and within bounds: 64 KiB, 32 levels, in time, not compressed, no member named twice.
 * @param seconds how long it may take to arrive.
 * @returns undefined when there is none.
 * @throws unsupported-media-type, too-large, request-timeout, invalid-request.
 */
export async function readJsonBody(request: IncomingMessage, seconds: number): Promise<unknown> {
  const text = await readText(request, 'application/json', seconds);
  if (text === null) return undefined;
  let value: unknown;
  try {
    value = parseStrictJson(text);
  } catch {
    throw invalid('', 'the body is not JSON, or names a member twice');
  }
  checkValue(value, '', 0);
  return value;
}

/** Reads a form (`application/x-www-form-urlencoded`); a parameter given twice is refused (RFC 6749 §3.2). */
export async function readFormBody(request: IncomingMessage, seconds: number): Promise<Record<string, string>> {
  const text = await readText(request, 'application/x-www-form-urlencoded', seconds);
  const form: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(text ?? '')) {
    if (Object.hasOwn(form, name)) throw invalid('', `the parameter \`${name.slice(0, 50)}\` is given twice`);
    form[name] = value;
  }
  return form;
}

/** Whether anything follows the headers. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const declared = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (declared !== undefined && declared !== '0');
}

async function readText(request: IncomingMessage, type: string, seconds: number): Promise<string | null> {
  if (!hasBody(request)) return null;
  const [given, ...parameters] = (request.headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((p) => p.trim()).find((p) => p.startsWith('charset='));
  if (given?.trim() !== type || (charset && !/^charset="?utf-8"?$/.test(charset))) {
    throw new LatchkeyError('unsupported-media-type', `the body must be \`${type}\` in UTF-8`);
  }
  const encoding = request.headers['content-encoding'];
  if (encoding && encoding.toLowerCase() !== 'identity') {
    throw new LatchkeyError('unsupported-media-type', 'the body must not be compressed');
  }
  if (Number(request.headers['content-length'] ?? 0) > longestBody) throw tooLarge();
  return decode(await collect(request, seconds));
}

function collect(request: IncomingMessage, seconds: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const timer = setTimeout(
      () =>
        finish(() => reject(new LatchkeyError('request-timeout', `the body took longer than ${seconds} s to arrive`))),
      seconds * 1000,
    );
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > longestBody) finish(() => reject(tooLarge()));
      else chunks.push(chunk);
    };
    const onEnd = (): void => finish(() => resolve(Buffer.concat(chunks)));
    const onClose = (): void => finish(() => reject(invalid('', 'the body was cut off')));
    const finish = (done: () => void): void => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      request.on('error', () => {});
      request.resume();
      done();
    };
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid('', 'the body is not UTF-8');
  }
}

function tooLarge(): LatchkeyError {
  return new LatchkeyError('too-large', 'the body is larger than 64 KiB');
}

/** What no store and no ledger could keep is refused: NUL and half a surrogate pair, wherever it comes from. */
export function requireStorable(query: Readonly<Record<string, unknown>>): void {
  for (const value of Object.values(query).flat()) if (typeof value === 'string') checkText(value, '');
}

/** What no store and no ledger could keep is refused here: depth, NUL, half a surrogate pair, numbers beyond doubles. */
function checkValue(value: unknown, pointer: string, depth: number): void {
  if (depth > deepest) throw invalid('', `the body is nested deeper than ${deepest} levels`);
  if (typeof value === 'string') checkText(value, pointer);
  else if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw invalid(pointer, 'is a number too large to keep');
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      checkText(name, pointer);
      checkValue(item, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1);
    }
  }
}

function checkText(text: string, pointer: string): void {
  if (text.includes('\0') || !text.isWellFormed()) throw invalid(pointer, 'holds a character that no text may hold');
}
