import { Failure } from './failure.ts';

/** True for the machine's own addresses, the only ones that plain http may go to. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** Reads an address that something may be sent to: https anywhere, http to this machine alone. `what` names it. */
export function readEndpoint(text: string, what: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !['https:', 'http:'].includes(url.protocol)) {
    throw new Failure('usage', `${what} \`${text}\` is not an http address`, {
      hint: 'write it in full, like `https://latchkey.example`',
    });
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new Failure('usage', `${what} \`${text}\` is plain http, which is only used on this machine itself`, {
      hint: `use \`https://${url.host}\``,
    });
  }
  return url;
}

/** Reads the address that others are made from: a host and a path, and no trailing slash. */
export function readAddress(text: string, what: string): string {
  const url = readEndpoint(text, what);
  if (url.username || url.password || url.search || url.hash) {
    throw new Failure('usage', `${what} \`${url.origin}${url.pathname}\` carries more than a host and a path`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
