import { setTimeout as sleep } from 'node:timers/promises';
import { openConnection } from '../lifecycle/connection.ts';
import type { Caller } from '../lifecycle/world.ts';
import type { Access } from './access.ts';

/** How many are revoked a second, on average, at random moments. */
const perSecond = 12;

/**
 * Revokes one grant after another, in turn through each of the brokers.
 * @returns for each broker, milliseconds from the call until the engineer's connection to the action was cut.
 */
export async function revokeAll(
  urls: readonly string[],
  lead: Caller,
  accesses: readonly Access[],
): Promise<number[][]> {
  const latencies: number[][] = urls.map(() => []);
  const running: Promise<void>[] = [];
  for (const [number, access] of accesses.entries()) {
    const way = number % urls.length;
    running.push(revokeOne(urls[way]!, lead, access).then((latency) => void latencies[way]!.push(latency)));
    await sleep((-Math.log(1 - Math.random()) * 1_000) / perSecond);
  }
  await Promise.all(running);
  return latencies;
}

async function revokeOne(url: string, lead: Caller, { grant, cut }: Access): Promise<number> {
  const connection = await openConnection(url);
  const headers = { authorization: `Bearer ${lead.token}` };
  const called = performance.now();
  const reply = await connection.call('POST', `/v1/grants/${grant}/revoke`, headers, { reason: 'measuring' });
  if (reply.status !== 200) throw new Error(`not revoked: ${JSON.stringify(reply.body)}`);
  const { at, ended } = await cut;
  if (ended !== 'grant-not-live') throw new Error(`the session ended otherwise: \`${ended}\``);
  connection.close();
  return at - called;
}
