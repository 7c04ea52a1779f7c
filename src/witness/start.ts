import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { formatVkey } from '../ledger/vkey.ts';
import type { WitnessConfig } from './config.ts';
import { createWitnessServer } from './server.ts';
import { openWitnessKey, openWitnessState } from './state.ts';
import { createWitness, type WitnessLog } from './witness.ts';

export interface RunningWitness {
  readonly url: string;
  /** The key that its cosignatures are verified with, as a C2SP vkey of type 0x04. */
  readonly vkey: string;
  /** Takes no more calls, and finishes those that run. */
  stop(): Promise<void>;
}

/** The verifier key of the witness, whose key is made when there is none. */
export async function witnessVkey({ name, state }: WitnessConfig): Promise<string> {
  return vkeyOf(name, await openWitnessKey(state));
}

/**
 * Starts a witness. INVARIANT: nobody else works in its state directory, which whoever calls has to see to.
 * @throws WitnessStateError when what it kept cannot be read; any other error when it cannot listen.
 */
export async function startWitness(config: WitnessConfig, log: WitnessLog): Promise<RunningWitness> {
  const state = await openWitnessState(config.state);
  const witness = createWitness({ ...config, state, now: Date.now, log });
  const server = createWitnessServer(witness, log);
  const url = await listen(server, config.listen);
  return { url, vkey: vkeyOf(config.name, state.privateKey), stop: () => close(server) };
}

function vkeyOf(name: string, privateKey: KeyObject): string {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return formatVkey(name, 'cosignature', Buffer.from(x!, 'base64url'));
}

function listen(server: Server, at: WitnessConfig['listen']): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      server.off('error', reject);
      const { address, family, port } = server.address() as AddressInfo;
      resolve(`http://${family === 'IPv6' ? `[${address}]` : address}:${port}`);
    });
  });
}

const longestDrain = 3_000;

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), longestDrain);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
