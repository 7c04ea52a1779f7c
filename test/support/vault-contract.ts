import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Vault } from '../../src/credentials/vault.ts';

/** Whether it has come to its end, to be asked at any time. */
function ended(work: Promise<unknown>): () => boolean {
  let isEnded = false;
  const end = (): void => {
    isEnded = true;
  };
  void work.then(end, end);
  return () => isEnded;
}

/** What every vault must do, said once. @param open another client of one vault, as another broker would have it. */
export function vaultContract(kind: string, open: () => Promise<Vault>): void {
  suite(`every vault, here ${kind}`, { concurrency: true }, () => {
    const holds = (sentence: string, run: (vault: Vault, name: string) => Promise<void>): void => {
      test(sentence, async () => {
        const vault = await open();
        await run(vault, `case-${(number += 1)}`);
        await vault.close();
      });
    };
    let number = 0;

    holds('a name that nobody has used holds nothing', async (vault, name) => {
      assert.equal(await vault.get(name), null);
      assert.deepEqual(await vault.versions(name), []);
      assert.equal(await vault.getVersion(name, '0'.repeat(32)), null);
    });

    holds('what is made is there for every client, and making it again changes nothing', async (vault, name) => {
      assert.equal(await vault.create(name, 'first'), 'first');
      const other = await open();
      assert.equal(await other.get(name), 'first');
      assert.equal(await other.create(name, 'second'), 'first');
      assert.equal((await other.versions(name)).filter(({ enabled }) => enabled).length, 1);
      await other.close();
    });

    holds('of ten that make one name at once all get the value of one, then and later', async (vault, name) => {
      const racers = await Promise.all(Array.from({ length: 10 }, () => open()));
      const got = await Promise.all(racers.map((racer, index) => racer.create(name, `of racer ${index}`)));
      assert.deepEqual(new Set(got).size, 1, got.join(', '));
      assert.equal(await vault.get(name), got[0]);
      const enabled = (await vault.versions(name)).filter((version) => version.enabled);
      assert.equal(enabled.length, 1);
      assert.equal(await vault.getVersion(name, enabled[0]!.version), got[0]);
      await Promise.all(racers.map((racer) => racer.close()));
    });

    holds('who only reads while others make a name reads nothing or the value that stays', async (vault, name) => {
      const racers = await Promise.all(Array.from({ length: 4 }, () => open()));
      const made = Promise.all(racers.map((racer, index) => racer.create(name, `of racer ${index}`)));
      const seen: (string | null)[] = [];
      const done = ended(made);
      while (!done()) seen.push(await vault.get(name));
      const [kept] = await made;
      assert.deepEqual(new Set(seen.filter((value) => value !== null && value !== kept)), new Set());
      await Promise.all(racers.map((racer) => racer.close()));
    });

    holds('a version that is added is the newest, and earlier ones stay readable', async (vault, name) => {
      await vault.create(name, 'one');
      const started = Date.now();
      const two = await vault.addVersion(name, 'two', { tags: { purpose: 'next' } });
      const three = await vault.addVersion(name, 'three');
      const all = await vault.versions(name);
      assert.deepEqual(await Promise.all(all.map(({ version }) => vault.getVersion(name, version))), [
        'one',
        'two',
        'three',
      ]);
      assert.equal(await vault.get(name), 'three');
      assert.deepEqual(all.slice(1), [two, three]);
      assert.deepEqual([two.enabled, two.notBefore, two.expiresAt, two.tags], [true, null, null, { purpose: 'next' }]);
      assert.ok(Math.abs(two.createdAt.getTime() - started) < 60_000);
      assert.ok(all.every(({ createdAt }, index) => index === 0 || createdAt >= all[index - 1]!.createdAt));
    });

    holds('a name may begin with an added version', async (vault, name) => {
      const { version } = await vault.addVersion(name, 'one');
      assert.equal(await vault.getVersion(name, version), 'one');
      assert.equal(await vault.create(name, 'other'), 'one');
    });

    holds('versions added at once are all kept, and every client finds them in one order', async (vault, name) => {
      const clients = await Promise.all(Array.from({ length: 5 }, () => open()));
      const added = await Promise.all(clients.map((client, index) => client.addVersion(name, `value ${index}`)));
      const orders = await Promise.all(clients.map((client) => client.versions(name)));
      assert.equal(new Set(added.map(({ version }) => version)).size, 5);
      assert.deepEqual(new Set(orders[0]!.map(({ version }) => version)), new Set(added.map(({ version }) => version)));
      for (const order of orders) assert.deepEqual(order, orders[0]);
      for (const [index, { version }] of added.entries()) {
        assert.equal(await vault.getVersion(name, version), `value ${index}`);
      }
      await Promise.all(clients.map((client) => client.close()));
    });

    holds('a disabled version is read by nobody, and the newest of the others counts', async (vault, name) => {
      const one = await vault.addVersion(name, 'one');
      const two = await vault.addVersion(name, 'two');
      await vault.disable(name, two.version);
      const other = await open();
      for (const client of [vault, other]) {
        assert.equal(await client.getVersion(name, two.version), null);
        assert.equal(await client.get(name), 'one');
        assert.deepEqual(
          (await client.versions(name)).map(({ version, enabled }) => [version, enabled]),
          [
            [one.version, true],
            [two.version, false],
          ],
        );
      }
      await vault.disable(name, two.version);
      await vault.disable(name, one.version);
      assert.equal(await other.get(name), null);
      await other.close();
    });

    holds('a name whose versions are all disabled is not made anew, but takes a new version', async (vault, name) => {
      const { version } = await vault.addVersion(name, 'leaked');
      await vault.disable(name, version);
      await assert.rejects(vault.create(name, 'other'), /was disabled or removed/);
      await vault.addVersion(name, 'fresh');
      assert.equal(await vault.get(name), 'fresh');
    });

    holds('tags are put in place of a version’s own, without a version more', async (vault, name) => {
      const one = await vault.addVersion(name, 'one', { tags: { a: '1' } });
      const two = await vault.addVersion(name, 'two');
      await vault.setTags(name, one.version, { b: '2' });
      await vault.setTags(name, one.version, { c: '3', d: '4' });
      const other = await open();
      assert.deepEqual(
        (await other.versions(name)).map(({ version, tags }) => [version, tags]),
        [
          [one.version, { c: '3', d: '4' }],
          [two.version, {}],
        ],
      );
      assert.equal(await other.getVersion(name, one.version), 'one');
      await other.close();
    });

    holds('tags set on a disabled version do not bring it back', async (vault, name) => {
      const { version } = await vault.addVersion(name, 'one');
      await vault.disable(name, version);
      await vault.setTags(name, version, { a: '1' });
      assert.equal(await vault.getVersion(name, version), null);
      assert.deepEqual(
        (await vault.versions(name)).map(({ enabled, tags }) => [enabled, tags]),
        [[false, { a: '1' }]],
      );
    });

    holds('of tags set at once one caller’s stay, whole', async (vault, name) => {
      const { version } = await vault.addVersion(name, 'one');
      const wishes = Array.from({ length: 6 }, (_, index) => ({ who: String(index), again: String(index) }));
      await Promise.all(wishes.map((tags) => vault.setTags(name, version, tags)));
      const tags = (await vault.versions(name))[0]!.tags;
      assert.ok(
        wishes.some(({ who }) => who === tags.who && who === tags.again),
        JSON.stringify(tags),
      );
    });

    holds('a value that is replaced is read by everyone, and the earlier ones count no more', async (vault, name) => {
      await vault.replace(name, 'one');
      await vault.replace(name, 'two');
      await vault.replace(name, 'three');
      const other = await open();
      assert.equal(await other.get(name), 'three');
      assert.equal(await other.create(name, 'four'), 'three');
      await other.close();
    });

    holds('who reads while a value is replaced reads the one or the other', async (vault, name) => {
      await vault.replace(name, 'value 0');
      const writing = (async () => {
        for (let count = 1; count <= 10; count++) await vault.replace(name, `value ${count}`);
      })();
      const other = await open();
      let last = 0;
      const done = ended(writing);
      while (!done()) {
        const seen = Number((await other.get(name))!.split(' ')[1]);
        assert.ok(seen >= last, `${seen} after ${last}`);
        last = seen;
      }
      await writing;
      await other.close();
    });

    holds('what is removed is gone for everyone, and removing it again does nothing', async (vault, name) => {
      const { version } = await vault.addVersion(name, 'one');
      await vault.addVersion(name, 'two');
      await vault.remove(name);
      const other = await open();
      for (const client of [vault, other]) {
        assert.equal(await client.get(name), null);
        assert.equal(await client.getVersion(name, version), null);
        assert.deepEqual(await client.versions(name), []);
      }
      await vault.remove(name);
      await vault.remove(`${name}-never`);
      await other.close();
    });

    holds('a name that was removed may be used again', async (vault, name) => {
      const old = await vault.addVersion(name, 'one');
      await vault.remove(name);
      assert.equal(await vault.create(name, 'other'), 'other');
      assert.equal(await vault.getVersion(name, old.version), null);
    });

    holds('names and values that a vault does not take are refused before anything is written', async (vault, name) => {
      for (const bad of ['', 'Upper', '1st', 'a_b', '../a', 'a/b', 'a.b', 'a'.repeat(102)]) {
        await assert.rejects(async () => vault.get(bad), /is not a secret's name/, bad);
        await assert.rejects(async () => vault.addVersion(bad, 'x'), /is not a secret's name/, bad);
        await assert.rejects(async () => vault.remove(bad), /is not a secret's name/, bad);
      }
      await assert.rejects(async () => vault.create(name, ''), /is to be empty/);
      await assert.rejects(async () => vault.addVersion(name, 'x'.repeat(20_001)), /larger than 20000 bytes/);
      const many = Object.fromEntries(Array.from({ length: 13 }, (_, index) => [`tag${index}`, '']));
      await assert.rejects(async () => vault.addVersion(name, 'x', { tags: many }), /tags/);
      await assert.rejects(async () => vault.addVersion(name, 'x', { tags: { a: 'b'.repeat(257) } }), /tags/);
      assert.deepEqual(await vault.versions(name), []);
    });

    holds('a version that is not there can be neither disabled nor tagged', async (vault, name) => {
      await vault.addVersion(name, 'one');
      await assert.rejects(vault.disable(name, 'f'.repeat(32)), /has no version/);
      await assert.rejects(vault.setTags(name, 'f'.repeat(32), {}), /has no version/);
    });

    holds('the longest value and the most tags come back as they were', async (vault, name) => {
      const value = `é"\\\n${'x'.repeat(19_990)}`;
      const tags = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`tag${index}`, 'v'.repeat(256)]));
      const { version } = await vault.addVersion(name, value, { tags });
      assert.equal(await vault.getVersion(name, version), value);
      assert.deepEqual((await vault.versions(name))[0]!.tags, tags);
    });
  });
}
