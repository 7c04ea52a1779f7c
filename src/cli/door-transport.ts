import { createHash } from 'node:crypto';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import { readAddress } from './addresses.ts';
import type { Device } from './answers.ts';
import { deviceName } from './device-names.ts';
import { Failure } from './failure.ts';
import { interrupted, networkWords } from './transport.ts';

/** Where a device's door is, and the certificate it must show there; none on plain http, which is loopback only. */
export interface DoorAddress {
  readonly url: string;
  readonly certificate: Buffer | null;
  /** What people call the device. */
  readonly name: string;
}

export interface DoorCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal;
}

/** Reads what the broker lists of a device's door. @throws Failure when there is none, or none that may be used. */
export function doorAddress(device: Device): DoorAddress {
  const name = deviceName(device);
  if (!device.door?.url) {
    throw new Failure('unreachable', `\`${name}\` has not told the broker where its door is`, {
      hint: 'its agent may be off; `latchkey devices` says when it was last seen',
    });
  }
  const url = readAddress(device.door.url, `the door of \`${name}\` at`);
  if (url.startsWith('http:')) return { url, certificate: null, name };
  const certificate = readDigest(device.door.certificateSha256 ?? '');
  if (!certificate) {
    throw new Failure(
      'failed',
      `the broker lists no certificate for the door of \`${name}\`, so nothing vouches for it`,
    );
  }
  return { url, certificate, name };
}

/** Sends one call to a door and resolves with the answer's head; the body is still to be read. */
export async function callDoor(address: DoorAddress, call: DoorCall): Promise<IncomingMessage> {
  const target = new URL(call.url);
  const socket = address.certificate && (await connectPinned(target, address, address.certificate, call.signal));
  return new Promise((resolve, reject) => {
    const request: ClientRequest = httpRequest({
      method: call.method,
      host: bareHost(target),
      port: target.port || 80,
      path: target.pathname,
      headers: { host: target.host, accept: 'application/json, application/x-ndjson', ...call.headers },
      signal: call.signal,
      ...(socket ? { createConnection: () => socket } : { agent: false }),
    });
    request.on('socket', (used) => used.setKeepAlive(true, 10_000));
    request.on('response', resolve);
    request.on('error', (cause) => {
      reject(call.signal.aborted ? stopped(address, call.signal) : unreachable(address, cause));
    });
    request.end(call.body ?? undefined);
  });
}

/**
 * Connects by TLS to whoever shows exactly this certificate. The digest comes from the broker, so no authority, name or
 * date of the certificate matters. INVARIANT: nothing is sent before the certificate has been compared.
 */
function connectPinned(
  target: URL,
  address: DoorAddress,
  certificate: Buffer,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const host = bareHost(target);
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({
      host,
      port: Number(target.port || 443),
      ...(isIP(host) ? {} : { servername: host }),
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
    });
    const give = (failure: Failure): void => {
      socket.destroy();
      reject(failure);
    };
    const abort = (): void => give(stopped(address, signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', (cause) => {
      give(unreachable(address, cause));
    });
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', abort);
      const shown = socket.getPeerX509Certificate();
      const digest = shown && createHash('sha256').update(shown.raw).digest();
      if (digest?.equals(certificate)) return resolve(socket);
      return give(
        new Failure(
          'unreachable',
          `the door of \`${address.name}\` shows another certificate than the one the broker lists`,
          {
            hint: 'nothing was sent; somebody may stand in between, or the agent has only just been set up anew',
          },
        ),
      );
    });
  });
}

/** A SHA-256 digest as hexadecimal (with or without colons) or base64url; null when it is neither. */
function readDigest(text: string): Buffer | null {
  const plain = text.replaceAll(':', '');
  if (/^[0-9a-f]{64}$/i.test(plain)) return Buffer.from(plain, 'hex');
  return /^[\w-]{43}$/.test(text) ? Buffer.from(text, 'base64url') : null;
}

function bareHost(target: URL): string {
  return target.hostname.replace(/^\[|\]$/g, '');
}

/** What came of a call that was given up: by the person, or by the clock. */
function stopped(address: DoorAddress, { reason }: AbortSignal): Failure {
  return reason instanceof Error && reason.name === 'TimeoutError' ? unreachable(address, reason) : interrupted();
}

function unreachable({ url, name }: DoorAddress, cause: unknown): Failure {
  return new Failure('unreachable', `the door of \`${name}\` at \`${url}\` cannot be reached: ${networkWords(cause)}`, {
    hint: 'the device or its agent may be off, or the network in between',
    cause,
  });
}
