import { setTimeout as sleep } from 'node:timers/promises';
import { sweep } from '../sweep.ts';
import { openConnection, type Connection } from './connection.ts';
import { anyLifecycle, runLifecycle, type Steps } from './steps.ts';
import type { World } from './world.ts';

/** Whole lifecycles a second with that many in flight all the time. */
export async function runClosed(
  url: string,
  steps: Steps,
  world: World,
  { concurrency, seconds }: { readonly concurrency: number; readonly seconds: number },
): Promise<number> {
  const connections = await Promise.all(Array.from({ length: concurrency }, () => openConnection(url)));
  const until = performance.now() + seconds * 1_000;
  let done = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (performance.now() < until) {
        await runLifecycle(steps, connection, await anyLifecycle(world));
        if (performance.now() < until) done += 1;
      }
      connection.close();
    }),
  );
  return done / seconds;
}

/** Milliseconds from the moment at which a step was due to its answer. */
export interface Latencies {
  readonly ask: number[];
  readonly decide: number[];
  readonly mint: number[];
}

/** How long a person takes between two steps, in milliseconds. */
export const pause = 250;

/**
 * Seconds that lifecycles arrive before any is counted: who has stood still while another was measured is awake then, and what
 * the database does after a rush (statistics, and each connection's plans made anew) is done.
 */
const wakingUp = 3;

/**
 * Calls `begin` at random moments (a Poisson process) with the moment that was meant, however long what it begins takes,
 * and with where to keep what it measures. The heap is swept before, so that no pause is taken for somebody else's.
 * @returns what was kept of all that counts.
 */
export async function arriveAtRandom<T>(
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
  nothing: () => T,
  begin: (due: number, into: T) => Promise<void>,
): Promise<T> {
  const [uncounted, counted] = [nothing(), nothing()];
  sweep();
  const from = performance.now() + wakingUp * 1_000;
  const until = from + seconds * 1_000;
  const running: Promise<void>[] = [];
  let due = performance.now() + 100;
  while (due < until) {
    const wait = due - performance.now();
    if (wait > 1) await sleep(wait);
    running.push(begin(due, due < from ? uncounted : counted));
    due += (-Math.log(1 - Math.random()) * 1_000) / perSecond;
  }
  await Promise.all(running);
  return counted;
}

export const noLatencies = (): Latencies => ({ ask: [], decide: [], mint: [] });

/**
 * Begins lifecycles at random moments (a Poisson process), however the broker keeps up. A step is due at a moment
 * fixed beforehand and its latency counts from there, so that what waits behind a slow call is not left out.
 */
export async function runOpen(
  url: string,
  steps: Steps,
  world: World,
  rate: { readonly perSecond: number; readonly seconds: number },
): Promise<Latencies> {
  const idle: Connection[] = [];
  const timed = async <T>(due: number, into: number[], step: (connection: Connection) => Promise<T>): Promise<T> => {
    const wait = due - performance.now();
    if (wait > 0) await sleep(wait);
    const connection = idle.pop() ?? (await openConnection(url));
    const result = await step(connection);
    into.push(performance.now() - due);
    idle.push(connection);
    return result;
  };
  const latencies = await arriveAtRandom(rate, noLatencies, async (due, into) => {
    const lifecycle = await anyLifecycle(world);
    const request = await timed(due, into.ask, (c) => steps.ask(c, lifecycle));
    const grant = await timed(due + pause, into.decide, (c) => steps.decide(c, lifecycle, request));
    const minted = await timed(due + 2 * pause, into.mint, (c) => steps.mint(c, lifecycle, grant));
    await steps.verify(lifecycle, grant, minted);
  });
  for (const connection of idle) connection.close();
  return latencies;
}
