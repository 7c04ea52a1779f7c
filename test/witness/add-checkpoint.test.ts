import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { formatAddCheckpoint, parseAddCheckpoint, sizeContentType } from '../../src/ledger/add-checkpoint.ts';
import { signCheckpoint } from '../../src/ledger/checkpoint.ts';
import { openNote } from '../../src/ledger/note-signatures.ts';
import { formatNote, parseNote } from '../../src/ledger/note.ts';
import { Malformed } from '../../src/ledger/verdict.ts';
import { newTestLog, newTestWitness, type TestWitness } from './support.ts';

const log = newTestLog();
const other = newTestLog('elsewhere.test');
/** Signed by somebody else in the ledger's name. */
const impostor = newTestLog(log.origin);
const shares = { ...other, origin: 'shared.test' };
let witness: TestWitness;
before(async () => {
  witness = await newTestWitness([log, shares]);
});
after(() => witness.remove());

function cosignedBy(checkpoint: string, line: string): boolean {
  const { verified } = openNote(checkpoint + line, [log.key, witness.key]);
  return verified.some(({ key, timestamp }) => key === witness.key && Math.abs(timestamp! - Date.now() / 1_000) < 60);
}

test('a ledger that grows is cosigned step by step, as a note that verifies with the witness’s key', async () => {
  for (const [old, size] of [
    [0, 1],
    [1, 2],
    [2, 5],
    [5, 5],
    [5, 8],
  ] as const) {
    const answer = await witness.add(log.body(old, size));
    assert.equal(answer.status, 200, `${old} → ${size}: ${answer.body}`);
    assert.ok(cosignedBy(log.checkpoint(size), answer.body));
  }
  const kept = await fetch(`${witness.url}/checkpoint/${encodeURIComponent(log.origin)}`);
  assert.match(await kept.text(), new RegExp(`^${log.origin}\n8\n`));
  assert.equal((await fetch(`${witness.url}/checkpoint/unknown`)).status, 404);
});

/** In a ledger of which the witness has cosigned eight entries. */
const refusals: readonly [what: string, status: number, body: () => string | Buffer][] = [
  ['nothing', 400, () => ''],
  ['bytes that are not UTF-8', 400, () => Buffer.from('old 8\n\n\xff\xfe', 'latin1')],
  ['an old size that is none', 400, () => log.body(8, 9).replace('old 8', 'old 08')],
  ['no old size', 400, () => log.body(8, 9).replace('old 8\n', '')],
  ['a hash that is too short', 400, () => log.body(8, 9).replace('old 8\n', 'old 8\nAAAA\n')],
  ['64 hashes', 400, () => log.body(8, 9).replace('old 8\n', `old 8\n${`${'A'.repeat(43)}=\n`.repeat(64)}`)],
  ['no signature', 400, () => log.body(8, 9).replace(/\n—.*\n$/s, '')],
  ['a checkpoint without a root', 400, () => log.body(8, 9).replace(/\n9\n.*\n\n/, '\n9\n\n')],
  ['an unknown origin', 404, () => newTestLog('unknown.test').body(0, 1)],
  ['a signature that is not the ledger’s', 403, () => impostor.body(8, 9)],
  ['a signature that is no longer good', 403, () => log.body(8, 9).replace('\n9\n', '\n10\n')],
  ['an old size that is larger than the new one', 400, () => log.body(9, 8)],
  ['an old size that is too small', 409, () => log.body(5, 9)],
  ['an old size that is too large', 409, () => log.body(9, 10)],
  ['a smaller tree', 409, () => log.body(2, 5)],
  ['another tree of the same size', 409, () => log.body(8, 8, 'another')],
  ['the proof of another history', 422, () => log.body(8, 9, 'another')],
  ['no proof', 422, () => formatAddCheckpoint({ old: 8, proof: [], checkpoint: log.checkpoint(9) })],
  [
    'a proof between equal sizes',
    422,
    () => formatAddCheckpoint({ old: 8, proof: log.proof(5, 8), checkpoint: log.checkpoint(8) }),
  ],
];

for (const [what, status, body] of refusals) {
  test(`${what}: ${status}, and nothing has changed`, async () => {
    const answer = await witness.add(body());
    assert.equal(answer.status, status, answer.body);
    if (status === 409) assert.deepEqual([answer.type, answer.body], [sizeContentType, '8\n']);
    assert.doesNotMatch(answer.body, /—/);
    assert.equal((await witness.add(log.body(8, 8))).status, 200);
  });
}

test('a signature of the right key under another origin counts for nothing', async () => {
  const signed = signCheckpoint({ origin: other.origin, size: 0, root: Buffer.alloc(32) }, other.privateKey);
  const text = parseNote(signed).text.replace(other.origin, shares.origin);
  const moved = formatNote(text, [signed.split('\n').at(-2)! + '\n']);
  assert.equal((await witness.add(formatAddCheckpoint({ old: 0, proof: [], checkpoint: moved }))).status, 403);
});

test('a first call with a proof from nothing is refused, and an empty tree has one root', async () => {
  const fresh = newTestLog('fresh.test');
  const another = await newTestWitness([fresh]);
  try {
    const from = formatAddCheckpoint({ old: 0, proof: fresh.proof(2, 3), checkpoint: fresh.checkpoint(3) });
    assert.equal((await another.add(from)).status, 422);
    const wrong = signCheckpoint({ origin: fresh.origin, size: 0, root: Buffer.alloc(32, 1) }, fresh.privateKey);
    assert.equal((await another.add(formatAddCheckpoint({ old: 0, proof: [], checkpoint: wrong }))).status, 409);
    assert.equal((await another.add(fresh.body(0, 0))).status, 200);
    assert.equal((await another.add(fresh.body(0, 3))).status, 200);
  } finally {
    await another.remove();
  }
});

test('signatures that others have put on a checkpoint are neither believed nor kept', async () => {
  const line = parseNote(impostor.checkpoint(8)).signatures.length;
  assert.equal(line, 1);
  const decorated = log.checkpoint(8) + impostor.checkpoint(8).split('\n').at(-2)! + '\n';
  const answer = await witness.add(formatAddCheckpoint({ old: 8, proof: [], checkpoint: decorated }));
  assert.equal(answer.status, 200);
  const kept = await (await fetch(`${witness.url}/checkpoint/${encodeURIComponent(log.origin)}`)).text();
  assert.deepEqual(
    parseNote(kept).signatures.map(({ id }) => id),
    [log.key.id, witness.key.id],
  );
});

test('two checkpoints of one size that differ are kept as evidence', async () => {
  assert.equal((await witness.add(log.body(8, 8, 'another'))).status, 409);
  const [file] = (await readdir(witness.directory)).filter((name) => name.endsWith('.conflict'));
  const evidence = await readFile(join(witness.directory, file!), 'utf8');
  assert.ok(evidence.includes(log.checkpoint(8, 'another')));
  assert.ok(evidence.includes(log.checkpoint(8).split('\n')[2]!));
});

test('of many calls at once for two histories, one history alone is ever cosigned', async () => {
  const fresh = newTestLog('racing.test');
  const another = await newTestWitness([fresh]);
  try {
    assert.equal((await another.add(fresh.body(0, 3))).status, 200);
    const calls = Array.from({ length: 40 }, (_, i) => ({ size: 4 + (i % 5), history: i % 2 ? 'entry' : 'another' }));
    const answers = await Promise.all(
      calls.map(async (call) => ({ ...call, ...(await another.add(fresh.body(3, call.size, call.history))) })),
    );
    const cosigned = answers.filter(({ status }) => status === 200);
    assert.equal(new Set(cosigned.map(({ size, history }) => `${size} ${history}`)).size, 1);
    assert.ok(answers.every(({ status }) => status === 200 || status === 409));
    const { size, history } = cosigned[0]!;
    const onward = history === 'entry' ? 'another' : 'entry';
    assert.equal((await another.add(fresh.body(size, 12, onward))).status, 422);
    assert.equal((await another.add(fresh.body(size, 12, history))).status, 200);
  } finally {
    await another.remove();
  }
});

test('what is too long, of another method or elsewhere is refused', async () => {
  assert.equal((await witness.add('x'.repeat(70_000))).status, 413);
  assert.equal((await fetch(`${witness.url}/add-checkpoint`)).status, 405);
  assert.equal((await fetch(`${witness.url}/`)).status, 404);
  assert.equal((await fetch(`${witness.url}/checkpoint/%ff`)).status, 404);
});

test('an address that calls too often is told to slow down', async () => {
  const another = await newTestWitness([log]);
  try {
    const statuses: number[] = [];
    for (let batch = 0; batch < 10; batch++) {
      const calls = Array.from({ length: 100 }, () => fetch(`${another.url}/`));
      for (const response of await Promise.all(calls)) statuses.push(response.status);
    }
    assert.ok(statuses.includes(429));
    assert.ok(statuses.filter((status) => status === 404).length >= 400);
  } finally {
    await another.remove();
  }
});

test('the body of a call comes back as it was', () => {
  const call = { old: 5, proof: log.proof(5, 8), checkpoint: log.checkpoint(8) };
  const { old, proof, checkpoint } = parseAddCheckpoint(formatAddCheckpoint(call));
  assert.deepEqual([old, checkpoint], [call.old, call.checkpoint]);
  assert.deepEqual(
    proof.map(String),
    call.proof.map((hash) => String(Buffer.from(hash))),
  );
  assert.throws(() => parseAddCheckpoint('old 5'), Malformed);
});
