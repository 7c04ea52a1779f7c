import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fleet, Look, Order } from './messages.ts';

/** The agents of all processes together. */
export interface RunningFleet {
  readonly size: number;
  look(forget?: boolean): Promise<Look>;
  /** Says which brokers new connections go to. */
  route(addresses: readonly string[]): Promise<void>;
  /** Waits until every agent has its stream and a list. @returns the seconds it took since `from`. @throws when it takes too long. */
  untilAllOpen(from: number, progress?: (look: Look) => void): Promise<number>;
  stop(): Promise<void>;
}

const agentsEach = 2_500;
const patience = 120_000;

/**
 * Starts the agents, those with a door in a process of their own, the others some thousands in each; resolves once all
 * have begun to connect.
 */
export async function startFleet(fleet: Omit<Fleet, 'isCrowd'>, addresses: readonly string[]): Promise<RunningFleet> {
  const size = fleet.devices.length;
  const measured = fleet.devices.filter(({ hasDoor }) => hasDoor);
  const crowd = fleet.devices.filter(({ hasDoor }) => !hasDoor);
  const count = Math.ceil(crowd.length / agentsEach);
  const parts: Fleet[] = [
    { ...fleet, devices: measured, isCrowd: false },
    ...Array.from({ length: count }, (_, place) => ({
      ...fleet,
      devices: crowd.filter((_, index) => index % count === place),
      isCrowd: true,
    })),
  ];
  const workers = parts.map(() => fork(fileURLToPath(new URL('worker.ts', import.meta.url))));
  const ask = async (order: Order): Promise<Look> => sum(await Promise.all(workers.map((each) => askOne(each, order))));
  await Promise.all(
    workers.map((worker, place) => askOne(worker, { order: 'start', fleet: parts[place]!, addresses })),
  );
  const look = (forget = false) => ask({ order: 'look', forget });
  return {
    size,
    look,
    async route(to) {
      await ask({ order: 'route', addresses: to });
    },
    async untilAllOpen(from, progress = () => undefined) {
      for (let tries = 0; ; tries++) {
        const seen = await look();
        if (seen.open === size && seen.shut === 0) return (performance.now() - from) / 1_000;
        if (tries % 20 === 19) progress(seen);
        if (performance.now() - from > patience) {
          throw new Error(`${seen.open} of ${size} agents came back: ${JSON.stringify(seen.losses)}`);
        }
        await sleep(100);
      }
    },
    async stop() {
      await Promise.all(
        workers.map((worker) => {
          const ended = new Promise((resolve) => worker.once('exit', resolve));
          worker.disconnect();
          return ended;
        }),
      );
    },
  };
}

function askOne(worker: ChildProcess, order: Order): Promise<Look> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a process with agents ended with ${code}`));
    worker.once('exit', ended);
    worker.once('message', (answer) => {
      worker.off('exit', ended);
      resolve(answer as Look);
    });
    worker.send(order);
  });
}

function sum(looks: readonly Look[]): Look {
  const total = (of: (look: Look) => number): number => looks.reduce((all, look) => all + of(look), 0);
  const losses: Record<string, number> = {};
  for (const each of looks) {
    for (const [why, times] of Object.entries(each.losses)) losses[why] = (losses[why] ?? 0) + times;
  }
  return {
    open: total(({ open }) => open),
    shut: total(({ shut }) => shut),
    mostShut: total(({ mostShut }) => mostShut),
    opened: total(({ opened }) => opened),
    doors: looks.flatMap(({ doors }) => doors),
    losses,
  };
}
