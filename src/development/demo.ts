import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { Client } from 'pg';
import { openConfigDirectory } from '../cli/config-directory.ts';
import { loadKey, makeProof } from '../cli/key.ts';
import { runCli } from '../cli/main.ts';
import { startWorld, type World } from './world.ts';

/** `npm run demo`: the whole story, against the real parts; exits 0 only if every step was as it should be. */

const colours = process.stdout.isTTY && !('NO_COLOR' in process.env);
const paint = (code: number, text: string): string => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
const silent = { info: () => {}, warn: () => {}, error: () => {} };

class Unexpected extends Error {}

/** Fails the demo when something is not as it should be. */
function expect(condition: boolean, what: string): void {
  if (!condition) throw new Unexpected(what);
}

interface Said {
  readonly exit: number;
  readonly text: string;
}

/** People at their terminals: what they type is shown, run by the real command line, and its words are shown too. */
class Stage {
  readonly #world: World;
  readonly #directory: string;
  readonly #tokens = new Map<string, string>();
  #step = 0;

  constructor(world: World, directory: string) {
    this.#world = world;
    this.#directory = directory;
  }

  step(title: string): void {
    console.log(`\n${paint(1, `${++this.#step}. ${title}`)}`);
  }

  directoryOf(who: string): string {
    return join(this.#directory, 'people', who);
  }

  async tokenOf(who: string): Promise<string> {
    const token = this.#tokens.get(who) ?? (await this.#world.issuer.tokenFor(who));
    this.#tokens.set(who, token);
    return token;
  }

  /** Types one command and waits for its end. */
  async type(who: string, ...argv: string[]): Promise<Said> {
    const command = argv.map((word) => (/[\s"]/.test(word) ? `"${word}"` : word)).join(' ');
    console.log(`   ${paint(36, `${who} $`)} latchkey ${command}`);
    let text = '';
    const out = {
      write(piece: string | Uint8Array) {
        const words = typeof piece === 'string' ? piece : Buffer.from(piece).toString('utf8');
        text += words;
        process.stdout.write(
          words.replaceAll(/^.+$/gm, (line) => `   ${line.length > 100 ? `${line.slice(0, 99)}…` : line}`),
        );
        return true;
      },
      columns: 100,
    };
    const exit = await runCli(argv, {
      stdout: out,
      stderr: out,
      env: {
        LATCHKEY_URL: this.#world.url,
        LATCHKEY_TOKEN: await this.tokenOf(who),
        LATCHKEY_CONFIG_DIR: this.directoryOf(who),
        NO_COLOR: '1',
      },
      now: Date.now,
      signal: new AbortController().signal,
    });
    return { exit, text };
  }

  /** As `type`, and requires the exit code that belongs to the story. */
  async expectExit(exit: number, who: string, ...argv: string[]): Promise<string> {
    const said = await this.type(who, ...argv);
    expect(said.exit === exit, `\`${argv[0]}\` ended with ${said.exit}, not ${exit}`);
    return said.text;
  }
}

async function story(world: World, directory: string): Promise<void> {
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
  const grant = await mint(stage, world);

  stage.step('Ada uses it: the room’s own agent checks it and does one thing');
  const inspected = await stage.expectExit(0, 'ada', 'run', 'boardroom', 'device.inspect');
  expect(inspected.includes('MTR-0042'), 'the room did not say who it is');

  stage.step('What was not granted, the room itself refuses');
  const refused = await stage.expectExit(123, 'ada', 'run', 'boardroom', 'logs.collect:identity', '--grant', grant);
  expect(/scope/.test(refused), 'the refusal does not speak of the scope');

  stage.step('Chloé revokes while Ada’s session runs: it is cut at the device');
  const watching = stage.type('ada', 'run', 'boardroom', 'device.inspect', 'watch:=true');
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

/** Mints as the command line does, to show what is in a credential. @returns the grant. */
async function mint(stage: Stage, world: World): Promise<string> {
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
  const { aud, scope, cnf, iat, exp } = decodeJwt(credential);
  console.log(`   aud    ${String(aud)}`);
  console.log(`   scope  ${String(scope)}`);
  console.log(`   key    ${(cnf as { jkt: string }).jkt}`);
  console.log(`   lives  ${exp! - iat!} s`);
  return grant!.id;
}

interface LedgerLine {
  readonly at: string;
  readonly type: string;
  readonly actor: { readonly kind: string };
  readonly grant?: string;
  readonly request?: string;
}

/** Reads the events as the auditor's own role of the database, which can do nothing else. */
async function showLedger(directory: string): Promise<void> {
  const urls = JSON.parse(await readFile(join(directory, 'urls.json'), 'utf8')) as { auditor: string };
  const client = new Client({ connectionString: urls.auditor });
  await client.connect();
  try {
    const wanted = [
      'request.submitted',
      'request.refused',
      'request.approved',
      'grant.started',
      'credential.issued',
      'session.started',
      'action.performed',
      'grant.revoked',
      'session.ended',
    ];
    const read = async (): Promise<LedgerLine[]> => {
      const { rows } = await client.query<{ bytes: Buffer }>('SELECT bytes FROM audit_events ORDER BY at, id');
      return rows.map((row) => JSON.parse(row.bytes.toString('utf8')) as LedgerLine);
    };
    const count = (events: readonly LedgerLine[], type: string): number => events.filter((e) => e.type === type).length;
    const isWhole = (events: readonly LedgerLine[]): boolean =>
      wanted.every((type) => count(events, type) > 0) &&
      count(events, 'session.ended') === count(events, 'session.started');
    let events = await read();
    // Devices report a moment later.
    for (let tries = 0; tries < 100 && !isWhole(events); tries++) {
      await sleep(100);
      events = await read();
    }
    for (const event of events) {
      const subject = event.grant ?? event.request ?? '';
      console.log(`   ${event.at}  ${event.type.padEnd(20)} ${event.actor.kind.padEnd(7)} ${paint(2, subject)}`);
    }
    for (const type of wanted) expect(count(events, type) > 0, `the ledger has no \`${type}\``);
    expect(
      count(events, 'session.ended') === count(events, 'session.started'),
      'a session has not been confirmed ended',
    );
    console.log(`   ${events.length} events; no name, no reason, no key among them`);
    const text = JSON.stringify(events);
    expect(!/Ada|Okafor|panel frozen|INC0012345/.test(text), 'the ledger holds something personal');
  } finally {
    await client.end();
  }
}

function find(pattern: RegExp, text: string): string {
  const [found] = pattern.exec(text) ?? [];
  if (found === undefined) throw new Unexpected(`nothing like ${pattern.source} was said`);
  return found;
}

async function main(): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-demo-'));
  const started = performance.now();
  let world: World | undefined;
  try {
    console.log(paint(2, 'starting PostgreSQL, an identity provider, a broker and three rooms …'));
    world = await startWorld({ directory, log: silent, ports: { broker: 0, issuer: 0 } });
    await story(world, directory);
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

process.exitCode = await main();
