import { isIP } from 'node:net';

const networks = ['loopback', 'linklocal', 'uniquelocal'];

/**
 * What is wrong with the name of a proxy, or null: it is an address or a network, since whoever is believed about
 * callers' addresses must be known.
 */
export function proxyMistake(proxy: string): string | null {
  const [address = '', prefix, ...more] = proxy.split('/');
  const version = isIP(address);
  const length = prefix === undefined ? 1 : /^\d{1,3}$/.test(prefix) ? Number(prefix) : 0;
  const sound = version > 0 && more.length === 0 && length >= 1 && length <= (version === 4 ? 32 : 128);
  if (sound || networks.includes(proxy)) return null;
  return `\`${proxy}\` is no address, no network such as \`10.0.0.0/8\`, and none of \`${networks.join('`, `')}\``;
}
