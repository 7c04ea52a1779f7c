import { lookup as resolve, type LookupAddress } from 'node:dns';
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { isLoopbackHost, isPrivateAddress, literalAddress } from './addresses.ts';

export interface FetchBounds {
  readonly maxBytes: number;
  /** Milliseconds for the whole exchange, from the name's resolution to the last byte. */
  readonly timeout: number;
  /** Whether the host may be, or its name may lead to, an address that is not public. */
  readonly allowPrivate: boolean;
}

/**
 * Gets one JSON document within bounds: https (plain http only from this machine), no redirects, no compression, no
 * private address unless allowed. The address that was checked is the one connected to, so that a name cannot lead
 * elsewhere the second time it is asked for.
 * @throws Error whose message says what was wrong.
 */
export async function fetchJson(url: URL, bounds: FetchBounds): Promise<unknown> {
  requireFetchable(url, bounds);
  const response = await send(url, bounds);
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`\`${url.href}\` answered ${response.statusCode}`);
  }
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    response.destroy();
    throw new Error(`\`${url.href}\` answered compressed, which was not asked for`);
  }
  const text = new TextDecoder('utf-8', { fatal: true }).decode(await readBody(response, url, bounds));
  return JSON.parse(text) as unknown;
}

function requireFetchable(url: URL, { allowPrivate }: FetchBounds): void {
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
  if (!secure) throw new Error(`\`${url.href}\` is not https`);
  const address = literalAddress(url.hostname);
  if (address !== null && !allowPrivate && isPrivateAddress(address)) throw privateAddress(url.hostname);
}

function send(url: URL, bounds: FetchBounds): Promise<IncomingMessage> {
  const options: RequestOptions = {
    agent: false,
    headers: { accept: 'application/json', 'accept-encoding': 'identity' },
    signal: AbortSignal.timeout(bounds.timeout),
    ...(bounds.allowPrivate ? {} : { lookup: publicLookup }),
  };
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((fulfil, reject) => {
    request(url, options, fulfil).on('error', reject).end();
  });
}

async function readBody(response: IncomingMessage, url: URL, { maxBytes }: FetchBounds): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop destroys the response, and with it the connection.
    if (size > maxBytes) throw new Error(`\`${url.href}\` answered more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Resolves a name like the platform does, and fails if any of its addresses is not public. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    const first = addresses?.[0];
    if (error || !first) return callback(error ?? new Error(`\`${hostname}\` has no address`), '');
    if (addresses.some(({ address }) => isPrivateAddress(address))) return callback(privateAddress(hostname), '');
    return options.all ? callback(null, addresses) : callback(null, first.address, first.family);
  });
};

function privateAddress(hostname: string): Error {
  return new Error(`\`${hostname}\` leads to an address that is not public`);
}
