import type { DeviceId, PersonId, TenantId } from '../../src/domain/ids.ts';
import type { TestIssuer } from '../../test/support/issuer.ts';
import { newTestDevice } from '../../test/support/device.ts';
import { openConnection, type Connection, type Reply } from './connection.ts';

/** A person who calls: who the broker says they are, and the access token they send. */
export interface Caller {
  readonly id: PersonId;
  readonly token: string;
}

/** Who and what the lifecycles are about. Plain data: it goes to other processes. */
export interface World {
  readonly tenant: TenantId;
  readonly engineers: readonly Caller[];
  readonly leads: readonly Caller[];
  readonly devices: readonly DeviceId[];
  /** The ledger's key, as every device learned it. */
  readonly ledgerKey: string;
}

const provider = { employer: 'provider', region: 'EU', trainingValidUntil: '2099-01-01T00:00:00Z' };
const engineerCount = 200;
const leadCount = 20;
const enrolAtOnce = 8;

/** Makes a tenant with that many devices, each enrolled by its own key, and people with tokens for an hour. */
export async function makeWorld(url: string, issuer: TestIssuer, devices: number): Promise<World> {
  const connections = await Promise.all(Array.from({ length: enrolAtOnce }, () => openConnection(url)));
  const [first] = connections as [Connection];
  const operator = await newCaller(first, issuer, 'operator', 'operators');
  const slug = 'contoso';
  const { id: tenant } = await must(first, operator, 'PUT', `/v1/tenants/${slug}`, { name: slug, region: 'EU' });
  const enrolled: DeviceId[] = [];
  let ledgerKey = '';
  let begun = 0;
  await Promise.all(
    connections.map(async (connection) => {
      while (begun < devices) {
        begun += 1;
        const device = await newTestDevice(url, url);
        const { code } = await must(connection, operator, 'POST', '/v1/enrolment-codes', { tenant });
        const answer = await connection.call('POST', '/v1/devices', {}, await device.enrolment(code));
        if (answer.status !== 201) throw new Error(`a device was not enrolled: ${JSON.stringify(answer.body)}`);
        enrolled.push(answer.body.id as DeviceId);
        ledgerKey = answer.body.ledgerKey as string;
      }
    }),
  );
  const engineers = await callers(first, issuer, engineerCount, 'engineer', 'room-ops');
  const leads = await callers(first, issuer, leadCount, 'lead', 'room-leads');
  for (const connection of connections) connection.close();
  return { tenant: tenant as TenantId, engineers, leads, devices: enrolled, ledgerKey };
}

async function callers(
  connection: Connection,
  issuer: TestIssuer,
  count: number,
  name: string,
  team: string,
): Promise<Caller[]> {
  const made: Caller[] = [];
  for (let number = 1; number <= count; number++) {
    made.push(await newCaller(connection, issuer, `${name}-${number}`, team));
  }
  return made;
}

async function newCaller(connection: Connection, issuer: TestIssuer, sub: string, team: string): Promise<Caller> {
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const token = await issuer.tokenFor({ sub, name: sub, teams: [team], ...provider }, { exp });
  const { id } = await must(connection, { token }, 'GET', '/v1/me');
  return { id: id as PersonId, token };
}

async function must(
  connection: Connection,
  caller: Pick<Caller, 'token'>,
  method: string,
  path: string,
  body?: object,
): Promise<Reply['body']> {
  const reply = await connection.call(method, path, { authorization: `Bearer ${caller.token}` }, body);
  if (reply.status >= 300) throw new Error(`${method} ${path} answered ${reply.status}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}
