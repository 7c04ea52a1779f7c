import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createLog } from '../log.ts';
import { samplePeople } from './identity-provider.ts';
import { StateInUse } from './state-lock.ts';
import { startWorld, type World } from './world.ts';

/** `npm start`: the whole product on this machine, until Ctrl-C. */

const directory = '.latchkey';
/** Longer than anything takes that needs no help. */
const patienceMilliseconds = 20_000;
const colours = process.stdout.isTTY && !('NO_COLOR' in process.env);
const bold = (text: string): string => (colours ? `\x1b[1m${text}\x1b[22m` : text);
const dim = (text: string): string => (colours ? `\x1b[2m${text}\x1b[22m` : text);

const stopped = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
});

process.exitCode = await main();

async function main(): Promise<number> {
  mkdirSync(directory, { recursive: true });
  const log = createLog(createWriteStream(join(directory, 'log.jsonl'), { flags: 'a', mode: 0o600 }));
  let world: World;
  let patience: NodeJS.Timeout | undefined;
  const progress = (words: string): void => {
    console.error(dim(`starting ${words} …`));
    clearTimeout(patience);
    const hint = `${words} takes long: ${directory}/log.jsonl says what is waited for`;
    patience = setTimeout(() => console.error(hint), patienceMilliseconds);
  };
  try {
    world = await startWorld({ directory, log, progress });
  } catch (error) {
    console.error(error instanceof StateInUse ? error.message : error);
    return 1;
  } finally {
    clearTimeout(patience);
  }
  console.log(welcome(world));
  await stopped;
  console.error(dim('\nstopping …'));
  await world.stop();
  return 0;
}

function welcome(world: World): string {
  const width = Math.max(...samplePeople.map((person) => person.username.length));
  const people = samplePeople.map(
    ({ username, name, role }) => `${bold(username.padEnd(width))}  ${name.padEnd(16)}  ${dim(role)}`,
  );
  const rooms = world.rooms.map(({ name, tenant }) => `${name} ${dim(`(${tenant})`)}`).join(', ');
  const latchkey = 'npm run -s latchkey --';
  const chloe = 'LATCHKEY_CONFIG_DIR=.latchkey/chloe';
  const lines = [
    '',
    bold('Latchkey is running.') + dim('  Ctrl-C stops everything it started.'),
    '',
    ...section('API', [`${world.url}  ${dim('described at /openapi.json')}`]),
    ...section('Sign-in', [`${world.issuer.issuer}  ${dim('pick a person, there are no passwords')}`]),
    ...section('Rooms', [rooms]),
    ...section('State', [`${directory}/  ${dim('log.jsonl is the log, config.json the configuration')}`]),
    ...section('Remarks', world.remarks),
    '',
    ...section('People', people),
    '',
    ...section('Try', [
      `${latchkey} login ${world.url}   ${dim('as ada')}`,
      `${latchkey} request remediate boardroom --for 30m --reason "panel frozen"`,
      `${chloe} ${latchkey} login ${world.url}   ${dim('as chloe')}`,
      `${chloe} ${latchkey} approve ${dim('REQUEST')}`,
      `${latchkey} run boardroom device.inspect`,
      dim('or all of it at once: npm run demo'),
    ]),
    '',
  ];
  return lines.join('\n');
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.map((line, index) => `  ${(index === 0 ? title : '').padEnd(9)} ${line}`);
}
