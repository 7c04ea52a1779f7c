import { randomFillSync } from 'node:crypto';

/** Chance comes in larger pieces: asking the system for some costs more than most of what is done with it. */
const chance = new Uint8Array(4_096);
let spent = chance.length;

/** So many random bytes, fit for ids, salts and nonces, each handed out once. Keys ask the system themselves. */
export function randomBytes(length: number): Buffer<ArrayBuffer> {
  if (length > chance.length) throw new RangeError(`more than ${chance.length} random bytes at once`);
  if (spent + length > chance.length) {
    randomFillSync(chance);
    spent = 0;
  }
  const bytes = Buffer.from(chance.subarray(spent, spent + length));
  // What was handed out is nowhere else.
  chance.fill(0, spent, (spent += length));
  return bytes;
}
