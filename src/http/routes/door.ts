import { invalid } from '../../domain/errors.ts';
import type { Door } from '../../store/devices.ts';

const loopback = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/;

/**
 * A device's door as it reports it.
 * @throws invalid-request when it is not an address that a client could pin: TLS with the certificate's hash, plain
 *   http on loopback only.
 */
export function doorOf(door: { readonly url: string; readonly certificateSha256?: string | null }): Door {
  let url: URL;
  try {
    url = new URL(door.url);
  } catch {
    throw invalid('/door/url', 'is not a URL');
  }
  if (url.username || url.password || url.hash || url.search)
    throw invalid('/door/url', 'may hold no more than an address');
  const certificateSha256 = door.certificateSha256 ?? null;
  if (url.protocol === 'http:' && !loopback.test(url.hostname)) {
    throw invalid('/door/url', 'must be `https` unless it is on loopback');
  }
  if (url.protocol === 'https:' && certificateSha256 === null) {
    throw invalid('/door/certificateSha256', 'is needed with `https`: the client pins it');
  }
  return { url: door.url, certificateSha256 };
}
