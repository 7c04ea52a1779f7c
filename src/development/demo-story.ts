import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { openConfigDirectory } from '../cli/config-directory.ts';
import { loadKey, makeProof } from '../cli/key.ts';
import { showLedger } from './demo-ledger.ts';
import { expect, find, paint, Stage, Unexpected, type Said } from './demo-stage.ts';
import { changeVault, type DemoVault } from './demo-vault.ts';
import { startWorld, type World } from './world.ts';

const silent = { info: () => {}, warn: () => {}, error: () => {} };

async function story(world: World, directory: string, vault: DemoVault | undefined): Promise<void> {
  const stage = new Stage(world, directory);

  stage.step('Nobody holds anything. Ada asks for what the work needs');
  await stage.expectExit(0, 'ada', 'grants');
  const asked = await stage.expectExit(
    0,
    'ada',
    'request',
    'remediate',
    'boardroom',
    '--for',
    '30m',
    '--reason',
    'panel frozen',
    '--ticket',
    'INC0012345',
  );
  const request = find(/req_[0-9a-z]{26}/, asked);

  stage.step('Chloé, a lead, sees what waits for her and agrees, for less');
  const waiting = await stage.expectExit(0, 'chloe', 'requests', '--view', 'approvable');
  expect(waiting.includes(request), 'the request is not in the approver’s view');
  await stage.expectExit(3, 'ada', 'approve', request);
  await stage.expectExit(0, 'chloe', 'approve', request, '--for', '10m', '--comment', 'go ahead');

  stage.step('The broker issues a credential: minutes long, for one device, bound to Ada’s key');
  const { grant, credential } = await mint(stage, world);
  explain(credential);

  stage.step('Ada uses it: the room’s own agent checks it and does one thing');
  const inspected = await stage.expectExit(0, 'ada', 'run', 'boardroom', 'device.inspect');
  expect(inspected.includes('MTR-0042'), 'the room did not say who it is');

  stage.step('What was not granted, the room itself refuses');
  const refused = await stage.expectExit(123, 'ada', 'run', 'boardroom', 'logs.collect:identity', '--grant', grant);
  expect(/scope/.test(refused), 'the refusal does not speak of the scope');

  const watch = (): Promise<Said> => stage.type('ada', 'run', 'boardroom', 'device.inspect', 'watch:=true');
  const before = vault && watch();
  if (vault) await changeVault({ stage, world, directory, vault, kid: async () => (await mint(stage, world)).kid });

  stage.step('Chloé revokes while Ada’s session runs: it is cut at the device');
  const watching = before ?? watch();
  await sleep(2_500);
  const revokedAt = performance.now();
  await stage.expectExit(0, 'chloe', 'revoke', grant, '--reason', 'the meeting starts early');
  const cut = await watching;
  const lag = Math.round(performance.now() - revokedAt);
  expect(cut.exit === 123 && /ended/.test(cut.text), `the session was not cut: exit ${cut.exit}`);
  console.log(`   ${paint(2, `cut ${lag} ms after the command was typed`)}`);
  await stage.expectExit(121, 'ada', 'run', 'boardroom', 'device.inspect');

  stage.step('What the ledger now holds');
  await showLedger(join(directory, 'postgres'));
}

/** Mints as the command line does. */
async function mint(stage: Stage, world: World): Promise<{ grant: string; credential: string; kid: string }> {
  const headers = { authorization: `Bearer ${await stage.tokenOf('ada')}` };
  const grants = (await (await fetch(`${world.url}/v1/grants?state=active`, { headers })).json()) as {
    items: { id: string; devices: string[] }[];
  };
  const [grant] = grants.items;
  expect(grant !== undefined, 'there is no active grant');
  const url = `${world.url}/v1/grants/${grant!.id}/credentials`;
  const key = await loadKey(openConfigDirectory(stage.directoryOf('ada')));
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      ...headers,
      dpop: await makeProof(key, { method: 'POST', url, at: Date.now() }),
      'content-type': 'application/json',
    },
    body: JSON.stringify({ device: grant!.devices[0] }),
  });
  expect(response.status === 201, `no credential: ${response.status}`);
  const { credential } = (await response.json()) as { credential: string };
  return { grant: grant!.id, credential, kid: decodeProtectedHeader(credential).kid! };
}

function explain(credential: string): void {
  const { aud, scope, cnf, iat, exp } = decodeJwt(credential);
  console.log(`   aud    ${String(aud)}`);
  console.log(`   scope  ${String(scope)}`);
  console.log(`   key    ${(cnf as { jkt: string }).jkt}`);
  console.log(`   lives  ${exp! - iat!} s`);
}

/**
 * The whole story, against the real parts, told on the terminal.
 * @param vault where the broker's secrets are; a directory when there is none.
 * @returns 0 only if every step was as it should be.
 */
export async function runDemo(vault?: DemoVault): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-demo-'));
  const started = performance.now();
  let world: World | undefined;
  try {
    console.log(paint(2, 'starting PostgreSQL, an identity provider, a broker and three rooms …'));
    world = await startWorld({ directory, log: silent, ports: { broker: 0, issuer: 0 }, ...vault?.world });
    await story(world, directory, vault);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`\n${paint(32, 'Every step was as it should be.')} ${paint(2, `${seconds} s`)}`);
    return 0;
  } catch (error) {
    const words = error instanceof Unexpected ? error.message : error instanceof Error ? error.stack : String(error);
    console.error(`\n${paint(31, 'Not as it should be:')} ${words}`);
    return 1;
  } finally {
    await world?.stop();
    await rm(directory, { recursive: true, force: true });
  }
}
