import { BlockList, isIP, isIPv6 } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

/** Addresses that lead inside, nowhere, or to many: IANA's special-purpose registries (RFC 6890). */
const notPublic = new BlockList();
for (const subnet of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/96',
  '64:ff9b::/32',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/9',
  'ff00::/8',
]) {
  const [network, prefix] = subnet.split('/') as [string, string];
  notPublic.addSubnet(network, Number(prefix), isIPv6(network) ? 'ipv6' : 'ipv4');
}

/** True for an IP address that no provider on the internet can have; IPv4 written as IPv6 is seen through. */
export function isPrivateAddress(address: string): boolean {
  return isIn(notPublic, address);
}

/** True for a host of this machine: `localhost`, names under it, 127.0.0.0/8 and ::1. */
export function isLoopbackHost(hostname: string): boolean {
  return isLocalName(hostname) || isIn(loopback, withoutBrackets(hostname));
}

/** True for a host that is private by its very spelling. A name may still lead to a private address. */
export function isPrivateHost(hostname: string): boolean {
  return isLocalName(hostname) || isPrivateAddress(withoutBrackets(hostname));
}

/** The IP address that a URL's hostname is, or null for a name. */
export function literalAddress(hostname: string): string | null {
  const address = withoutBrackets(hostname);
  return isIP(address) ? address : null;
}

function isIn(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

function isLocalName(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost');
}

function withoutBrackets(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}
