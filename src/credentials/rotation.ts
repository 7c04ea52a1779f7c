import { parseDuration } from '../domain/duration.ts';
import type { InputMistake } from '../domain/errors.ts';
import type { KeyTimes } from '../domain/key-schedule.ts';
import { keyTimes, type KeyName } from './keys.ts';

/** When keys are rotated. */
export interface Rotation {
  /** How old a signing key gets before another takes its place (milliseconds). */
  readonly rotateAfter: number;
  /** How long versions wait and stay. What is safe is no matter of choice, so no configuration file says it. */
  readonly times: Readonly<Record<KeyName, KeyTimes>>;
  /** How often the vault is read (milliseconds). */
  readonly readEvery: number;
  /** How often the database is asked whether anything has changed (milliseconds): how fast brokers know of a leak. */
  readonly askEvery: number;
}

interface RotationFile {
  readonly rotateAfter?: string;
}

const monthly = 'P30D';
/** In days. The ledger's keys overlap for one. */
const bounds = { least: 2, most: 400 };
const readEvery = 30_000;
const askEvery = 500;

/** What a configuration says of rotation. */
export function readRotation({ rotateAfter = monthly }: RotationFile = {}): Rotation {
  return { rotateAfter: parseDuration(rotateAfter)! * 1_000, times: keyTimes, readEvery, askEvery };
}

/** What is wrong with it. */
export function rotationMistakes({ rotateAfter = monthly }: RotationFile): InputMistake[] {
  const days = (parseDuration(rotateAfter) ?? 0) / 86_400;
  if (days >= bounds.least && days <= bounds.most) return [];
  return [{ pointer: '/keys/rotateAfter', message: `must lie between \`P${bounds.least}D\` and \`P${bounds.most}D\`` }];
}
