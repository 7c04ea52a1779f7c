import { fork, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BrokerProcess } from './broker-process.ts';
import type { FloorAnswer, FloorStart } from './floor.ts';
import type { Latencies } from './load.ts';

/** Milliseconds before a slice in which nothing is asked of anybody. */
const turnPause = 300;

/** The floor in its process. */
export interface Floor {
  /** The statements of a lifecycle, by name. */
  readonly recorded: string;
  readonly pid: number;
  /** @returns lifecycles a second. */
  run(order: { readonly concurrency: number; readonly seconds: number }): Promise<number>;
  runOpen(order: { readonly perSecond: number; readonly seconds: number }): Promise<Latencies>;
  signal(signal: NodeJS.Signals): void;
  stop(): void;
}

export async function startFloor(start: FloorStart): Promise<Floor> {
  const child = fork(fileURLToPath(new URL('floor.ts', import.meta.url)));
  // Whatever becomes of the bench, it does not stay behind, standing still.
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  child.once('exit', () => process.off('exit', kill));
  child.send(start);
  const first = await nextAnswer(child);
  if (!('recorded' in first)) throw new Error('the floor has recorded nothing');
  return {
    recorded: first.recorded,
    async run(order) {
      child.send(order);
      const answer = await nextAnswer(child);
      if (!('perSecond' in answer)) throw new Error('the floor gave another answer');
      return answer.perSecond;
    },
    async runOpen(order) {
      child.send(order);
      const answer = await nextAnswer(child);
      if (!('latencies' in answer)) throw new Error('the floor gave another answer');
      return answer.latencies;
    },
    pid: child.pid!,
    signal: (signal) => void child.kill(signal),
    stop: () => {
      if (child.connected) child.disconnect();
    },
  };
}

function nextAnswer(child: ChildProcess): Promise<FloorAnswer> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`the floor ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as FloorAnswer);
    });
  });
}

/** Who is measured has the machine to itself. */
export interface Turns {
  broker<T>(slice: () => Promise<T>): Promise<T>;
  floor<T>(slice: () => Promise<T>): Promise<T>;
}

/**
 * Both brokers, the measured one and the one that the floor was recorded from, look after the same database: while one is
 * measured, the other stands still, or it would sequence what is none of its own.
 */
export function takeTurns(broker: BrokerProcess, floor: Floor): Turns {
  return {
    broker: (slice) => whileItStands(floor, slice),
    floor: (slice) => whileItStands(broker, slice),
  };
}

/** Has a process stand still while another is measured. */
export async function whileItStands<T>(resting: Pick<BrokerProcess, 'signal'>, slice: () => Promise<T>): Promise<T> {
  // What it is in the middle of takes no longer than this.
  await sleep(turnPause);
  resting.signal('SIGSTOP');
  try {
    return await slice();
  } finally {
    resting.signal('SIGCONT');
  }
}
