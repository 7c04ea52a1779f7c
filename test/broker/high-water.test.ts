import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, mock, test } from 'node:test';
import { openHighWater, type HighWater } from '../../src/broker/high-water.ts';
import { readMark } from '../../src/broker/high-water-mark.ts';
import { VaultUnavailable } from '../../src/credentials/vault.ts';
import { openPool, type Pool } from '../../src/store/pool.ts';
import { newTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { newVirtualVault, type VirtualVault } from '../support/virtual-vault.ts';

const secret = 'ledger-high-water';
const tree = (size: number) => ({ size, root: createHash('sha256').update(String(size)).digest() });
const away = { error: new VaultUnavailable('the vault `https://kv.example` cannot be reached'), happened: false };

let database: TestDatabase;
let pool: Pool;
let vault: VirtualVault;
let now: number;
let warnings: string[];

before(async () => {
  database = await newTestDatabase();
  pool = openPool({ url: database.appUrl, size: 2 });
  mock.timers.enable({ apis: ['setTimeout'] });
});
after(async () => {
  mock.timers.reset();
  await pool.end();
  await database.drop();
});
beforeEach(() => {
  now = 0;
  vault = newVirtualVault(() => now);
  warnings = [];
});

const open = (): Promise<HighWater> =>
  openHighWater({ vault, runner: pool, warn: (message) => warnings.push(message), now: () => now });

/** Lets time pass, and what waits for it happen. */
async function pass(milliseconds: number): Promise<void> {
  for (let left = milliseconds; left > 0; left -= 5_000) {
    now += Math.min(left, 5_000);
    mock.timers.tick(Math.min(left, 5_000));
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  }
}

const sizeHeld = async (): Promise<number | undefined> => (await readMark(vault))?.mark.size;

describe('the mark', () => {
  test('is written every five seconds at the most, and makes no version, however much is signed', async () => {
    const highWater = await open();
    for (let second = 1; second <= 60; second++) {
      for (let i = 0; i < 50; i++) highWater.raise(tree(second * 50 + i));
      await pass(1_000);
    }
    const count = (call: string): number => vault.calls.filter((made) => made === call).length;
    assert.equal((await vault.versions(secret)).length, 1);
    assert.deepEqual([count('create'), count('replace'), count('addVersion')], [1, 0, 0]);
    assert.ok(count('setTags') >= 10 && count('setTags') <= 12, String(count('setTags')));
    await pass(5_000);
    assert.equal(await sizeHeld(), 3_049);
  });

  test('is not written while nothing is signed', async () => {
    const highWater = await open();
    highWater.raise(tree(3));
    await pass(10_000);
    vault.calls.length = 0;
    await pass(600_000);
    assert.deepEqual(vault.calls, []);
    assert.equal(highWater.overdue(), false);
  });

  test('is never moved back by a broker that is behind another', async () => {
    const [one, other] = [await open(), await open()];
    one.raise(tree(7));
    await pass(5_000);
    other.raise(tree(5));
    one.raise(tree(9));
    await pass(5_000);
    assert.equal(await sizeHeld(), 9);
    other.raise(tree(8));
    await pass(5_000);
    assert.equal(await sizeHeld(), 9);
  });

  test('that an earlier release wrote is read, and moved on', async () => {
    await vault.create(secret, JSON.stringify({ size: 0, root: tree(0).root.toString('base64') }));
    await vault.replace(secret, JSON.stringify({ size: 4, root: tree(4).root.toString('base64'), accepted: 1 }));
    assert.equal(await sizeHeld(), 4);
    const highWater = await open();
    assert.equal(highWater.behind(), true, 'this database has no four entries');
  });

  test('is written at the end, when the vault answers soon', async () => {
    const highWater = await open();
    highWater.raise(tree(3));
    await highWater.close();
    assert.equal(await sizeHeld(), 3);
  });

  test('does not keep a broker from ending when the vault never answers', async () => {
    const highWater = await open();
    highWater.raise(tree(3));
    vault.versions = () => new Promise(() => {});
    vault.create = () => new Promise(() => {});
    const closing = highWater.close();
    await pass(2_000);
    await closing;
  });
});

describe('with its vault away', () => {
  test('a broker goes on for thirty minutes, then takes nothing new, and goes on by itself', async () => {
    const highWater = await open();
    highWater.raise(tree(1));
    await pass(5_000);
    vault.failing = away;
    highWater.raise(tree(2));
    for (let minute = 0; minute < 30; minute++) {
      highWater.raise(tree(3 + minute));
      await pass(60_000);
      assert.equal(highWater.overdue(), false, `after ${minute + 1} minutes`);
    }
    await pass(1_000);
    assert.equal(highWater.overdue(), true);
    assert.equal(highWater.behind(), false, 'what ends is still signed');
    assert.deepEqual(warnings, [away.error.message], 'it says so once');
    highWater.raise(tree(40));
    vault.failing = null;
    await pass(5_000);
    assert.equal(highWater.overdue(), false);
    assert.equal(await sizeHeld(), 40);
  });

  test('nothing is due while nothing is signed, however long it is away', async () => {
    const highWater = await open();
    vault.failing = away;
    await pass(3_600_000);
    assert.equal(highWater.overdue(), false);
    highWater.raise(tree(1));
    await pass(60_000);
    assert.equal(highWater.overdue(), false);
  });

  test('a write that happened although it failed counts', async () => {
    const highWater = await open();
    highWater.raise(tree(1));
    await pass(5_000);
    const sound = { ...vault };
    vault.setTags = async (...args) => {
      await sound.setTags(...args);
      throw away.error;
    };
    highWater.raise(tree(2));
    await pass(5_000);
    vault.setTags = (...args) => sound.setTags(...args);
    assert.equal(await sizeHeld(), 2);
    await pass(5_000);
    vault.calls.length = 0;
    await pass(60_000);
    assert.deepEqual(vault.calls, [], 'there is nothing left to write');
  });

  test('what a witness says stops the broker at once, and reaches the vault when it is back', async () => {
    const highWater = await open();
    highWater.raise(tree(1));
    await pass(5_000);
    vault.failing = away;
    assert.equal(await highWater.contradicted('witness.example+1', 9), true);
    assert.equal(highWater.behind(), true);
    vault.failing = null;
    await pass(5_000);
    assert.deepEqual((await readMark(vault))?.mark.claims, { 'witness.example+1': 9 });
    assert.equal((await open()).behind(), true);
  });
});

describe('what one broker has heard of a witness', () => {
  test('is not undone by another that moves the mark on, and stops that one too', async () => {
    const [one, other] = [await open(), await open()];
    one.raise(tree(1));
    other.raise(tree(1));
    await pass(5_000);
    await one.contradicted('witness.example+1', 9);
    other.raise(tree(2));
    await pass(10_000);
    assert.deepEqual((await readMark(vault))?.mark.claims, { 'witness.example+1': 9 });
    assert.equal(other.behind(), true);
  });

  test('is kept beside what another has heard at the same time', async () => {
    const [one, other] = [await open(), await open()];
    one.raise(tree(1));
    await pass(5_000);
    await one.contradicted('a.example+1', 9);
    await other.contradicted('b.example+2', 8);
    assert.deepEqual((await readMark(vault))?.mark.claims, { 'a.example+1': 9, 'b.example+2': 8 });
  });
});

test('a mark that is none is an error, and never taken for nothing', async () => {
  for (const text of [
    '',
    '{}',
    '{"size":1}',
    '{"size":-1.5,"root":"AAAA"}',
    '[]',
    'null',
    '{"size":1,"root":"AAAA"}',
  ]) {
    const other = newVirtualVault(() => 0);
    await other.create(secret, text);
    await assert.rejects(openHighWater({ vault: other, runner: pool, warn: () => {} }), text);
  }
});
