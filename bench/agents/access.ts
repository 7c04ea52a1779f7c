import { generateKeyPairSync } from 'node:crypto';
import { openPatiently } from '../../src/cli/access-session.ts';
import { openDoor } from '../../src/cli/door.ts';
import { makeProof, type EngineerKey } from '../../src/cli/key.ts';
import type { DeviceId } from '../../src/domain/ids.ts';
import { openConnection, type Connection } from '../lifecycle/connection.ts';
import type { Caller, World } from '../lifecycle/world.ts';

/** An engineer's session on a device, with an action that runs. */
export interface Access {
  readonly grant: string;
  /** When the engineer's connection to the action was cut, by `performance.now()`, and what its last line said. */
  readonly cut: Promise<{ readonly at: number; readonly ended: string }>;
}

const atOnce = 6;

/** Opens a session on each of the devices, as the command line does: grant, credential, receipt, door, action. */
export async function openAccess(
  place: { readonly url: string; readonly publicUrl: string; readonly world: World },
  doors: readonly (readonly [device: DeviceId, url: string])[],
): Promise<Access[]> {
  const { url, publicUrl, world } = place;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: EngineerKey = { privateKey, publicJwk: publicKey.export({ format: 'jwk' }) as never };
  const waiting = [...doors.entries()];
  const opened: Access[] = [];
  await Promise.all(
    Array.from({ length: Math.min(atOnce, doors.length) }, async () => {
      const connection = await openConnection(url);
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [number, [device, doorUrl]] = next;
        const caller = world.engineers[number % world.engineers.length]!;
        opened.push(await openOne({ connection, publicUrl, caller, key }, device, doorUrl));
      }
      connection.close();
    }),
  );
  return opened;
}

interface Engineer {
  readonly connection: Connection;
  readonly publicUrl: string;
  readonly caller: Caller;
  readonly key: EngineerKey;
}

async function openOne(engineer: Engineer, device: DeviceId, url: string): Promise<Access> {
  const { connection, publicUrl, caller, key } = engineer;
  const headers = { authorization: `Bearer ${caller.token}` };
  const wish = { profile: 'diagnose', devices: [device], duration: 'PT1H', reason: 'measuring' };
  const asked = await connection.call('POST', '/v1/requests', headers, wish);
  if (asked.status !== 201) throw new Error(`no grant: ${JSON.stringify(asked.body)}`);
  const grant = asked.body.grant.id as string;
  const path = `/v1/grants/${grant}/credentials`;
  const dpop = await makeProof(key, { method: 'POST', url: publicUrl + path, at: Date.now() });
  const minted = await connection.call('POST', path, { ...headers, dpop }, { device });
  if (minted.status !== 201) throw new Error(`no credential: ${JSON.stringify(minted.body)}`);
  const door = openDoor({ url, certificate: null, name: device }, key, () => Date.now());
  const never = new AbortController();
  const { session } = await openPatiently(door, minted.body, never.signal);
  const lines = door.act(session, minted.body, 'device.inspect', {}, never.signal);
  await lines.next();
  return { grant, cut: untilCut(lines) };
}

async function untilCut(lines: AsyncGenerator<object>): Promise<{ readonly at: number; readonly ended: string }> {
  let ended = 'without a word';
  try {
    for await (const line of lines) if ('ended' in line) ended = String(line.ended);
  } catch (error) {
    ended = `${ended}: ${(error as Error).message}`;
  }
  return { at: performance.now(), ended };
}
