import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { readState, writeState } from '../agent/state-directory.ts';

const file = 'account.json';
const derive = promisify(scrypt) as (password: string, salt: string, length: number) => Promise<Buffer>;

/** An account as a machine keeps one: what it keeps of a password is good for comparing only. */
export interface SimulatedAccount {
  readonly name: string;
  readonly setPassword: (password: string) => Promise<void>;
  signsIn(password: string): Promise<boolean>;
}

export function openSimulatedAccount(directory: string): SimulatedAccount {
  return {
    name: 'roomadmin',
    async setPassword(password) {
      const salt = randomBytes(16).toString('hex');
      await writeState(directory, file, { salt, hash: (await derive(password, salt, 32)).toString('hex') });
    },
    async signsIn(password) {
      const kept = (await readState(directory, file)) as { readonly salt: string; readonly hash: string } | null;
      return kept !== null && timingSafeEqual(await derive(password, kept.salt, 32), Buffer.from(kept.hash, 'hex'));
    },
  };
}
