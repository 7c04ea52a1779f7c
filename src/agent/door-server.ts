import { X509Certificate } from 'node:crypto';
import { createServer as createPlainServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** What the door shows and proves itself with, both as PEM. Clients pin it by its hash: nobody else vouches for it. */
export interface DoorCertificate {
  readonly key: string;
  readonly certificate: string;
}

export interface DoorAddressOptions {
  /** The address of this machine to listen on: a loopback address, unless there is a certificate. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What clients call and proofs name, without a path; when not given, the address that is listened on. */
  readonly url?: string;
  /** Without one the door speaks plain http. */
  readonly tls?: DoorCertificate;
}

export interface DoorServer {
  readonly server: Server;
  readonly url: string;
  readonly port: number;
  certificateSha256(): string | null;
  useCertificate(certificate: DoorCertificate): void;
}

/** Bytes of all headers together, and milliseconds; the last says how often the others are looked after. */
const limits = {
  maxHeaderSize: 16_384,
  requestTimeout: 5_000,
  headersTimeout: 3_000,
  connectionsCheckingInterval: 1_000,
} as const;
const tlsLimits = { minVersion: 'TLSv1.3', handshakeTimeout: 3_000 } as const;
const mostConnections = 256;

/**
 * Listens for the door. Without TLS the machine itself is the only client.
 * @throws RangeError for an address that would be called in the clear from elsewhere, or that nobody could call.
 */
export async function listenAtDoor(options: DoorAddressOptions): Promise<DoorServer> {
  const mistake = doorAddressMistake(options);
  if (mistake !== null) throw new RangeError(`the door's ${mistake.option} ${mistake.message}`);
  const { host, port: wanted, tls } = options;
  let shown = tls && digestOf(tls);
  const server = tls
    ? createTlsServer({ ...limits, ...tlsLimits, key: tls.key, cert: tls.certificate })
    : createPlainServer(limits);
  server.maxConnections = mostConnections;
  await listen(server, host, wanted);
  const { port } = server.address() as AddressInfo;
  const listened = `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    server,
    url: options.url === undefined ? listened : new URL(options.url).origin,
    port,
    certificateSha256: () => shown ?? null,
    useCertificate(certificate) {
      if (!('setSecureContext' in server)) throw new RangeError('a door without TLS shows no certificate');
      server.setSecureContext({ ...tlsLimits, key: certificate.key, cert: certificate.certificate });
      shown = digestOf(certificate);
    },
  };
}

/** Why the door cannot be at this address; null when it can. */
export function doorAddressMistake({
  host,
  url,
  tls,
}: Pick<DoorAddressOptions, 'host' | 'url'> & { readonly tls?: unknown }): {
  readonly option: 'host' | 'url';
  readonly message: string;
} | null {
  if (!tls && !isLoopback(host)) return { option: 'host', message: 'must be a loopback address, unless there is TLS' };
  if (url === undefined) {
    const isAny = host === '0.0.0.0' || host === '::';
    return isAny ? { option: 'url', message: `is missing: nobody can call \`${host}\`` } : null;
  }
  const parsed = URL.parse(url);
  if (!parsed || parsed.origin === 'null' || parsed.href !== `${parsed.origin}/`) {
    return { option: 'url', message: 'must be an address like `https://10.20.0.4:7443`, without a path' };
  }
  if (parsed.protocol !== (tls ? 'https:' : 'http:')) {
    return { option: 'url', message: tls ? 'must be `https`' : 'must be `http` without TLS' };
  }
  if (!tls && !isLoopback(parsed.hostname)) return { option: 'url', message: 'must be on loopback without TLS' };
  return null;
}

/** True for the machine's own addresses. */
export function isLoopback(host: string): boolean {
  return /^(?:127(?:\.\d{1,3}){3}|\[?::1\]?|localhost)$/.test(host);
}

function digestOf({ certificate }: DoorCertificate): string {
  const { fingerprint256 } = new X509Certificate(certificate);
  return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
