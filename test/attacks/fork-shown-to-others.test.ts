import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { decodeJwt } from 'jose';
import { parseProofText } from '../../src/ledger/proof-text.ts';
import { verifyReceipt, type ReceiptClaims, type ReceiptVerdict } from '../../src/ledger/receipt.ts';
import { parseVkey } from '../../src/ledger/vkey.ts';
import { loadKeys } from '../../src/credentials/keys.ts';
import { openDirectoryVault } from '../../src/credentials/directory-vault.ts';
import { startBroker, type RunningBroker, type ServeLog } from '../../src/serve.ts';
import { takeBackup } from '../support/backup.ts';
import { newTestBroker, people, secretsDirectory, type Reply, type TestBroker } from '../support/broker.ts';
import { newEngineerKey } from '../support/engineer.ts';
import { newTestWitness, type TestWitness } from '../witness/support.ts';

const origin = 'latchkey.test/eu';
let directory: string;
let witness: TestWitness;
let honest: TestBroker;
let ledgerKey: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-fork-'));
  const secrets = join(directory, 'secrets');
  ledgerKey = (await loadKeys(await openDirectoryVault(secrets), origin)).ledger.vkey;
  witness = await newTestWitness([{ origin, key: parseVkey(ledgerKey) }]);
  const witnesses = [{ url: witness.url, key: witness.vkey }];
  honest = await newTestBroker({
    config: { secrets: { directory: secrets }, ledger: { origin, witnesses, witnessesNeeded: 1 } },
  });
});
after(async () => {
  await honest.stop();
  await witness.remove();
  await rm(directory, { recursive: true, force: true });
});

/** What an agent that demands the witness makes of a receipt, and one that demands none. */
function judge({ receipt: text, credential: jwt }: Reply['body'], demanding = true): ReceiptVerdict {
  const claims = decodeJwt(jwt as string) as unknown as ReceiptClaims;
  const witnesses = demanding ? { keys: [witness.vkey], needed: 1 } : undefined;
  return verifyReceipt({ text, jwt, claims, ledgerKey, origin, witnesses });
}

async function mint(url: string, grant: { id: string; devices: string[] }): Promise<Reply> {
  const key = await newEngineerKey();
  const path = `/v1/grants/${grant.id}/credentials`;
  const dpop = await key.proof('POST', honest.config.publicUrl + path);
  return callAt(url, path, { device: grant.devices[0] }, { dpop });
}

async function callAt(url: string, path: string, body: object, headers: Record<string, string> = {}): Promise<Reply> {
  const authorization = `Bearer ${await honest.issuer.tokenFor(people.ada)}`;
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

const lines: { message: string }[] = [];
const say = (_: object, message: string) => void lines.push({ message });
const log = { info: say, warn: say, error: say } as unknown as ServeLog;

async function diagnose(url: string): Promise<Reply['body']> {
  const body = { profile: 'diagnose', devices: [honest.contoso.devices[0]!.id], duration: 'PT10M', reason: 'slow' };
  for (let attempt = 0; ; attempt++) {
    const asked = await callAt(url, '/v1/requests', body);
    // After all its connections were cut, the first calls may be told to come back.
    if (asked.status === 503 && attempt < 20) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    assert.equal(asked.status, 201, JSON.stringify(asked.body));
    return asked.body.grant;
  }
}

test('the receipts of an honest broker carry the witness’s word, and an agent that demands it is content', async () => {
  for (let i = 0; i < 4; i++) {
    const minted = await mint(honest.brokers[0]!.url, await honest.grant('ada', 'remediate'));
    assert.equal(minted.status, 201, JSON.stringify(minted.body));
    const verdict = judge(minted.body);
    assert.ok(verdict.ok, JSON.stringify(verdict));
  }
  await honest.checkLedger();
});

test('a broker with a copy of database and keys cannot show some people another history', async () => {
  const backup = await takeBackup(honest.database);
  const secrets = { directory: join(directory, 'copied-secrets') };
  await cp(secretsDirectory(honest.config), secrets.directory, { recursive: true });
  const config = { ...honest.config, database: { url: backup.appUrl, poolSize: 5 }, secrets };
  const listen = { host: '127.0.0.1', port: 0 };
  const forks: RunningBroker[] = [];
  try {
    // History goes on for those who are shown the true one …
    const shown = await mint(honest.brokers[0]!.url, await diagnose(honest.brokers[0]!.url));
    assert.equal(shown.status, 201, JSON.stringify(shown.body));
    assert.ok(judge(shown.body).ok);

    // … and others are shown one in which that never happened, signed with the same key.
    const ledger = { origin, witnesses: [], witnessesNeeded: 0 };
    const fork = await startBroker({ ...config, listen, ledger }, log);
    forks.push(fork);
    const grant = await diagnose(fork.url);
    const forged = await mint(fork.url, grant);
    assert.equal(forged.status, 201, JSON.stringify(forged.body));
    assert.ok(judge(forged.body, false).ok, 'without witnesses, nobody could tell');
    const refused = judge(forged.body);
    assert.ok(!refused.ok);
    assert.match(refused.reason, /cosigned by 0 witnesses, 1 are needed/);

    // The witness’s word for the true history is none for this one.
    const theirs = parseProofText(shown.body.receipt);
    const cosignature = theirs.checkpoint.split('\n').at(-2)!;
    const moved = judge({ ...forged.body, receipt: `${forged.body.receipt}${cosignature}\n` });
    assert.ok(!moved.ok);
    assert.match(moved.reason, /is not good/);

    // A fork that asks the witness is caught by it, and by itself.
    const asking = await startBroker({ ...config, listen }, log);
    forks.push(asking);
    assert.ok(lines.some(({ message }) => /a witness has seen a tree of the ledger/.test(message)));
    assert.equal((await mint(asking.url, grant)).status, 503);
  } finally {
    await Promise.all(forks.map((fork) => fork.stop()));
    await backup.drop();
  }

  // The true history goes on.
  const after = await mint(honest.brokers[0]!.url, await diagnose(honest.brokers[0]!.url));
  assert.equal(after.status, 201, JSON.stringify(after.body));
  assert.ok(judge(after.body).ok);
  await honest.checkLedger();
});
