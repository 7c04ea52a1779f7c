import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { calculateJwkThumbprint } from 'jose';
import { machineClocks, mark } from '../src/agent/elapsed.ts';
import {
  createBrokerKeys,
  createLiveGrants,
  createVerifier,
  type Presented,
  type Verifier,
} from '../src/agent/index.ts';
import { credentialClaims, signCredential } from '../src/credentials/credential.ts';
import { loadKeys, type Signer } from '../src/credentials/keys.ts';
import { signLiveGrants } from '../src/credentials/statements.ts';
import { openDirectoryVault } from '../src/credentials/directory-vault.ts';
import { newId } from '../src/domain/ids.ts';
import { parseNote } from '../src/ledger/note.ts';
import { parseProofText } from '../src/ledger/proof-text.ts';
import { newTestLedger, type TestLedger } from '../test/agent/support/test-ledger.ts';
import { newEngineerKey, type EngineerKey } from '../test/support/engineer.ts';
import { thisMachine } from './machine.ts';
import type { BenchOptions } from './main.ts';
import { watchOthers } from './processes.ts';
import { othersMeasure, type Measure, type Report } from './report.ts';
import { scratchDirectory } from './scratch.ts';
import { bareCheckpoint, bareSignature, verifyBare, type BareSignature } from './signatures.ts';
import { median, range } from './statistics.ts';
import { sweep } from './sweep.ts';

const doorUrl = 'https://127.0.0.1:8443/sessions';
const issuer = 'http://127.0.0.1:7400';

type Signers = { readonly credential: Signer; readonly statement: Signer };

const batch = 250;

/**
 * The agent's whole verification of a call at the door, against nothing but the three signatures in it, over the same
 * bytes, with keys at hand. Every call of a batch has a credential, a receipt with a checkpoint, and a proof of its own,
 * so that nothing can be remembered of one for another. Both in turn in small batches, so that both see the same
 * machine, and by processor time: neither waits for anything, and what others take of the machine is not theirs.
 */
export async function benchVerify({ seconds, rounds, progress }: BenchOptions): Promise<Report> {
  const scratch = scratchDirectory();
  const rings = await loadKeys(await openDirectoryVault(scratch.path), 'latchkey.bench/eu');
  const keys = { credential: rings.credential.signing(), statement: rings.statement.signing() };
  const jwks = await serveJwks([keys.credential, keys.statement]);
  try {
    const engineer = await newEngineerKey();
    const others = watchOthers();
    const perRound: Spent[] = [];
    for (let round = 0; round <= rounds; round++) {
      const spent = await measure(keys, jwks.url, engineer, seconds);
      progress(`verification ${spent.whole.toFixed(1)} µs, bare signatures ${spent.bare.toFixed(1)} µs`);
      // What is not compiled yet is slow: the first round only warms up.
      if (round > 0) perRound.push(spent);
    }
    const setting = { rounds, 'seconds each': seconds };
    return {
      benchmark: 'verify',
      machine: thisMachine(),
      setting,
      measures: [...measuresOf(perRound), ...othersMeasure(others())],
    };
  } finally {
    jwks.close();
    scratch.remove();
  }
}

/** Microseconds of processor for one. */
interface Spent {
  readonly whole: number;
  readonly bare: number;
}

async function measure(keys: Signers, jwksUri: string, engineer: EngineerKey, seconds: number): Promise<Spent> {
  const { verifier, shown } = await newDoor(keys, jwksUri, engineer);
  const spent = { whole: 0, bare: 0, count: 0 };
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    const calls = await presentations(engineer, shown);
    const bare = calls.flatMap(({ proof }, at) => [...shown[at]!.bare, bareSignature(proof![0]!, bareKey)]);
    // Neither pays for what making the calls, or the other, has left behind.
    sweep();
    spent.whole += await processorTime(() => verifyAll(verifier, calls));
    sweep();
    spent.bare += await processorTime(async () => bare.forEach(verifyBare));
    spent.count += calls.length;
  }
  return { whole: spent.whole / spent.count, bare: spent.bare / spent.count };
}

function measuresOf(perRound: readonly Spent[]): Measure[] {
  const [whole, bare] = [perRound.map((spent) => spent.whole), perRound.map((spent) => spent.bare)];
  const ratios = perRound.map((spent) => spent.whole / spent.bare);
  const micros = (name: string, of: readonly number[]): Measure => ({
    name,
    value: median(of),
    unit: 'µs',
    digits: 1,
    range: range(of),
  });
  return [
    micros('agent’s verification (credential, proof, receipt)', whole),
    micros('the three signatures in it, bare', bare),
    { name: 'ratio', value: median(ratios), unit: '', digits: 2, range: range(ratios), bar: { atMost: 1.5 } },
  ];
}

/** Microseconds of processor that the process takes for the work, its garbage collector's included. */
async function processorTime(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

async function verifyAll(verifier: Verifier, calls: readonly Presented[]): Promise<void> {
  for (const call of calls) await verifier.verifyCredential(call);
}

/** A credential with its receipt, and the two signatures that are checked of them. */
interface Shown {
  readonly credential: string;
  readonly receipt: string;
  readonly bare: readonly BareSignature[];
}

/** Calls at the door, each with a proof of its own: a proof counts once. */
function presentations(engineer: EngineerKey, shown: readonly Shown[]): Promise<Presented[]> {
  return Promise.all(
    shown.map(async ({ credential, receipt }) => ({
      method: 'POST',
      url: doorUrl,
      authorization: [`DPoP ${credential}`],
      proof: [await engineer.proof('POST', doorUrl, { token: credential })],
      receipt: [receipt],
      scope: 'device.inspect',
    })),
  );
}

interface Bench {
  readonly verifier: Verifier;
  readonly shown: readonly Shown[];
}

/** A real verifier that lives by a real statement of live grants, and credentials that it accepts. */
async function newDoor(keys: Signers, jwksUri: string, engineer: EngineerKey): Promise<Bench> {
  const now = Date.now();
  const [device, tenant] = [newId('device', now), newId('tenant', now)];
  const [person, grant] = [newId('person', now), newId('grant', now)];
  const scopes = ['device.inspect', 'device.reboot', 'usb.reset', 'app.restart'];
  const expiresAt = new Date(now + 3_600_000);
  const brokerKeys = createBrokerKeys({ jwksUri });
  const liveGrants = createLiveGrants({ issuer, device, keys: brokerKeys, seen: null, remember: async () => {} });
  const statement = await signLiveGrants(keys.statement, issuer, {
    device,
    version: now,
    readAt: new Date(now - 2_000),
    keys: [keys.credential.kid],
    localAdmin: null,
    grants: [{ id: grant, person, scopes, startsAt: new Date(now - 60_000), expiresAt }],
  });
  await liveGrants.accept(statement, mark(machineClocks));
  const ledger = newTestLedger();
  const keyThumbprint = await calculateJwkThumbprint(engineer.publicJwk);
  const about = { issuer, person, device, tenant, grant, scopes, keyThumbprint, expiresAt };
  const shown: Shown[] = [];
  while (shown.length < batch) {
    const claims = credentialClaims({ ...about, id: newId('credential', now), now: new Date(now - 10_000) });
    const { jwt } = await signCredential(keys.credential, claims!);
    shown.push(await show(jwt, ledger));
  }
  const verifier = createVerifier({ issuer, device, tenant, keys: brokerKeys, liveGrants, ledgerKey: ledger.vkey });
  return { verifier, shown };
}

/** Which key of the curve it is makes no difference to what a check costs. */
const bareKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

async function show(credential: string, ledger: TestLedger): Promise<Shown> {
  const receipt = await ledger.header(credential);
  const text = Buffer.from(receipt, 'base64').toString('utf8');
  const checkpoint = parseNote(parseProofText(text).checkpoint).text;
  const bare = [bareSignature(credential, bareKey), bareCheckpoint(checkpoint, ledger.privateKey)];
  return { credential, receipt, bare };
}

/** The key set of a broker, over HTTP as an agent fetches it. */
async function serveJwks(signers: readonly Signer[]): Promise<{ readonly url: string; close(): void }> {
  const document = JSON.stringify({ keys: signers.map(({ publicJwk }) => publicJwk) });
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(document);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/.well-known/jwks.json`, close: () => void server.close() };
}
