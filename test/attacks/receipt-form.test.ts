import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Refusal } from '../../src/agent/refusal.ts';
import { longestReceipt } from '../../src/ledger/receipt.ts';
import { forge, newDoorstep, refusedWith, type Doorstep } from '../agent/support/doorstep.ts';
import { headerOf, newTestLedger } from '../agent/support/test-ledger.ts';

let at: Doorstep;
let credential: string;
let text: string;
before(async () => {
  at = await newDoorstep();
  credential = await at.credential();
  text = await at.broker.ledger.receipt(credential);
});
after(() => at.close());

const refused = async (...receipt: string[]) => refusedWith('bad-receipt', at.verify(credential, { receipt }));
const spoilt = (receipt: string | Uint8Array) => refused(headerOf(receipt));

describe('a receipt', () => {
  it('holds as it is, for as long as its credential does', async () => {
    for (let i = 0; i < 3; i++) await at.verify(credential, { receipt: [headerOf(text)] });
  });

  it('is refused cut short anywhere', async () => {
    const bytes = Buffer.from(text);
    for (let length = 0; length < bytes.length; length += 7) await spoilt(bytes.subarray(0, length));
    await spoilt(bytes.subarray(0, bytes.length - 1));
  });

  it('is refused with any one bit of it turned', async () => {
    const bytes = Buffer.from(text);
    const place = fc.integer({ min: 0, max: bytes.length - 1 });
    await fc.assert(
      fc.asyncProperty(place, fc.integer({ min: 0, max: 7 }), async (index, bit) => {
        const turned = Buffer.from(bytes);
        turned[index]! ^= 1 << bit;
        await spoilt(turned);
      }),
      { numRuns: 400 },
    );
  });

  it('is refused with a line too many, too few, twice, or out of place', async () => {
    const lines = text.split('\n');
    for (const index of lines.keys()) {
      const without = lines.toSpliced(index, 1).join('\n');
      if (without !== text) await spoilt(without);
      if (lines[index] !== '' && !lines[index]!.startsWith('— ')) {
        await spoilt(lines.toSpliced(index, 0, lines[index]!).join('\n'));
      }
    }
    await spoilt(`${text}\n`);
    await spoilt(`\n${text}`);
    await spoilt(text.replaceAll('\n', '\r\n'));
  });

  it('is refused when it is too long, even with nothing but signatures that nobody knows', async () => {
    const stranger = `— stranger.test ${Buffer.alloc(68).toString('base64')}\n`;
    await at.verify(credential, { receipt: [headerOf(text + stranger)] });
    let long = text;
    while (Buffer.byteLength(long) <= longestReceipt) long += stranger;
    await spoilt(long);
    await refused('A'.repeat(longestReceipt * 4));
  });

  it('is refused in any base64 but the one that an encoder writes', async () => {
    const header = headerOf(text);
    for (const other of [
      `${header}=`,
      `${header}\n`,
      ` ${header}`,
      `${header} `,
      header.replace(/=*$/, '!'),
      Buffer.from(`${text}\n`).toString('base64url'),
      text,
      '',
      'null',
      '%00',
    ]) {
      await refused(other);
    }
    await spoilt(Buffer.concat([Buffer.from(text), Buffer.of(0xff)]));
  });

  it('is refused beside a second one, as two headers or one that was joined', async () => {
    const header = headerOf(text);
    await refused(header, header);
    await refused(`${header}, ${header}`);
    await refused(`${header},${header}`);
  });

  it('is refused from another ledger, or from this one’s key under another name', async () => {
    const { origin, privateKey } = at.broker.ledger;
    for (const ledger of [newTestLedger(), newTestLedger(origin), newTestLedger('ledger.test/us', privateKey)]) {
      await refused(await ledger.header(credential));
    }
  });

  it('is refused with the checkpoint of another tree', async () => {
    const [proof] = text.split('\n\n');
    const other = await newTestLedger().receipt(credential);
    await spoilt(`${proof}\n\n${other.slice(other.indexOf('\n\n') + 2)}`);
    const later = await at.broker.ledger.receipt(await at.credential());
    await spoilt(`${proof}\n\n${later.slice(later.indexOf('\n\n') + 2)}`);
  });

  it('is one credential’s and no other’s, whoever holds them', async () => {
    const other = await at.credential();
    const receipt = [headerOf(text)];
    await refusedWith('bad-receipt', at.verify(other, { receipt }));
    const { holder, credential: forged } = await forge(at);
    await refusedWith('bad-receipt', at.verify(forged, { holder, receipt }));
  });

  it('of any text whatsoever is refused and nothing else comes of it', async () => {
    const anything = fc.oneof(fc.string(), fc.base64String(), fc.uint8Array({ maxLength: 3_000 }).map(headerOf));
    await fc.assert(
      fc.asyncProperty(anything, async (header) => {
        const outcome = at.verify(credential, { receipt: [header] });
        await assert.rejects(outcome, (error) => error instanceof Refusal && error.code === 'bad-receipt');
      }),
      { numRuns: 200 },
    );
  });
});
