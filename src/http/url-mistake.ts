import { isLoopbackHost } from './identity/addresses.ts';

/** What is wrong with the address of something that speaks HTTP, or null: plain http is for loopback alone. */
export function urlMistake(text: string): string | null {
  if (!URL.canParse(text)) return 'is not a URL';
  const url = new URL(text);
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) return 'must be `https` unless the host is loopback';
  if (!['http:', 'https:'].includes(url.protocol)) return 'must be `https`';
  if (url.username || url.password || url.search || url.hash) return 'may hold no user, query or fragment';
  return text.endsWith('/') ? 'must not end in a slash' : null;
}
