import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { array, assert as fcAssert, boolean, double, integer, nat, property, record } from 'fast-check';
import { scheduleKeys, type KeyVersion } from '../../src/domain/key-schedule.ts';

const times = { lead: 300_000, overlap: 900_000 };
const made = (version: string, since: number, enabled = true): KeyVersion => ({ version, since, enabled });

describe('the schedule of a key', () => {
  it('goes from waiting over signing and verifying to retired', () => {
    const versions = [made('a', 0), made('b', 1_000_000)];
    const at = (now: number) => {
      const { states, signing, published } = scheduleKeys(versions, now, times);
      return [signing, states.get('a'), states.get('b'), published.join('')];
    };
    assert.deepEqual(at(1_000_000), ['a', 'signing', 'waiting', 'ab']);
    assert.deepEqual(at(1_299_999), ['a', 'signing', 'waiting', 'ab']);
    assert.deepEqual(at(1_300_000), ['b', 'verifying', 'signing', 'ab']);
    assert.deepEqual(at(2_199_999), ['b', 'verifying', 'signing', 'ab']);
    assert.deepEqual(at(2_200_000), ['b', 'retired', 'signing', 'b']);
  });

  it('says until when it holds, and when the next one signs', () => {
    const versions = [made('a', 0), made('b', 1_000_000)];
    assert.equal(scheduleKeys(versions, 1_000_001, times).until, 1_300_000);
    assert.equal(scheduleKeys(versions, 1_000_001, times).signsNext, 1_300_000);
    assert.equal(scheduleKeys(versions, 1_300_000, times).until, 2_200_000);
    assert.equal(scheduleKeys(versions, 1_300_000, times).signsNext, null);
    assert.equal(scheduleKeys(versions, 2_200_000, times).until, Infinity);
  });

  it('signs at once with what is left when all that is older was taken out of use', () => {
    const { signing, published } = scheduleKeys([made('a', 0, false), made('b', 1_000_000)], 1_000_000, times);
    assert.equal(signing, 'b');
    assert.deepEqual(published, ['b']);
  });

  it('never uses the later of two that were made at once, and never one that is disabled', () => {
    const versions = [made('a', 0), made('b', 1_000_000), made('c', 1_000_000), made('d', 1_200_000, false)];
    const { states, signing } = scheduleKeys(versions, 5_000_000, times);
    assert.deepEqual(
      [...states],
      [
        ['c', 'surplus'],
        ['d', 'disabled'],
        ['a', 'retired'],
        ['b', 'signing'],
      ],
    );
    assert.equal(signing, 'b');
  });

  it('takes the order in which they were made from the vault, whatever its clock said', () => {
    const versions = [made('a', 1_000_000), made('b', 0)];
    assert.equal(scheduleKeys(versions, 1_100_000, times).signing, 'a');
    assert.equal(scheduleKeys(versions, 1_300_000, times).signing, 'b');
  });

  it('has no key that signs when all are disabled, or there is none', () => {
    for (const versions of [[], [made('a', 0, false)]]) {
      const { signing, published } = scheduleKeys(versions, 1, times);
      assert.equal(signing, null);
      assert.deepEqual(published, []);
    }
  });
});

const minute = 60_000;
/** What brokers and verifiers do at their worst: see `KeyTimes`. */
const worst = { reload: 36_000, copy: 2 * minute, life: 10 * minute, skew: minute };

const histories = array(record({ after: integer({ min: 0, max: 120 * minute }), enabled: boolean() }), {
  maxLength: 12,
}).map((steps) => {
  let since = 0;
  return steps.map(({ after, enabled }, place) => made(`v${place}`, (since += after), enabled));
});

describe('whatever versions there are', () => {
  const now = integer({ min: 0, max: 2_000 * minute });

  it('exactly one of those that are enabled signs, it is published, and it is the newest whose turn has come', () => {
    fcAssert(
      property(histories, now, (versions, moment) => {
        const schedule = scheduleKeys(versions, moment, times);
        const signing = [...schedule.states].filter(([, state]) => state === 'signing').map(([version]) => version);
        assert.deepEqual(signing, versions.some(({ enabled }) => enabled) ? [schedule.signing] : []);
        assert.ok(signing.every((version) => schedule.published.includes(version)));
        const [first, ...turned] = [...schedule.states].filter(
          ([, state]) => state !== 'disabled' && state !== 'surplus',
        );
        const due = turned.filter(
          ([version]) => versions.find((v) => v.version === version)!.since + times.lead <= moment,
        );
        assert.equal(schedule.signing, (due.at(-1) ?? first)?.[0] ?? null);
      }),
    );
  });

  it('holds unchanged until the moment that it names', () => {
    fcAssert(
      property(histories, now, double({ min: 0, max: 1, noNaN: true }), (versions, moment, part) => {
        const schedule = scheduleKeys(versions, moment, times);
        const end = Math.min(schedule.until, moment + 1_000 * minute);
        const later = Math.floor(moment + (end - moment - 1) * part);
        assert.deepEqual(scheduleKeys(versions, later, times), schedule);
      }),
    );
  });

  it('what retired, or is disabled or surplus, is published by nobody whose clock is right', () => {
    fcAssert(
      property(histories, now, (versions, moment) => {
        const { states, published } = scheduleKeys(versions, moment, times);
        const out = new Set(['retired', 'disabled', 'surplus']);
        assert.ok(published.every((version) => !out.has(states.get(version)!)));
      }),
    );
  });
});

it('key rotation without a false refusal, no acceptance after retirement', () => {
  const rotations = array(integer({ min: 20 * minute, max: 90 * minute }), { minLength: 1, maxLength: 10 }).map(
    (gaps) => {
      let since = 0;
      return [made('v0', 0), ...gaps.map((gap, place) => made(`v${place + 1}`, (since += gap)))];
    },
  );
  const skew = integer({ min: -worst.skew / 2, max: worst.skew / 2 });
  const upTo = (most: number) => integer({ min: 0, max: most });
  const rotatedAt = record({ place: nat(9), off: integer({ min: -20 * minute, max: 40 * minute }) });
  fcAssert(
    property(
      rotations,
      rotatedAt,
      record({ signer: skew, verifier: skew, signerRead: upTo(worst.reload), verifierRead: upTo(worst.reload) }),
      upTo(worst.copy),
      upTo(worst.life),
      (versions, { place, off }, brokers, copyAge, age) => {
        const signedAt = Math.max(0, versions[1 + (place % (versions.length - 1))]!.since + off);
        const seen = (by: number) => versions.filter(({ since }) => since <= Math.max(0, by));
        const { signing } = scheduleKeys(seen(signedAt - brokers.signerRead), signedAt + brokers.signer, times);

        // Another broker published what a device holds a copy of, which is as old as it may be.
        const copied = signedAt + age - copyAge;
        const { published } = scheduleKeys(seen(copied - brokers.verifierRead), copied + brokers.verifier, times);
        assert.ok(published.includes(signing!), `signed with ${signing}, and published were ${published.join()}`);

        // And once another has signed for that long, nobody publishes it any more.
        const later = versions.find(({ since }) => since > (versions.find((v) => v.version === signing)?.since ?? 0));
        if (!later) return;
        const after = later.since + times.lead + times.overlap + worst.skew + worst.reload;
        const { published: left } = scheduleKeys(seen(after - brokers.verifierRead), after + brokers.verifier, times);
        assert.ok(!left.includes(signing!));
      },
    ),
    { numRuns: 2_000 },
  );
});
