#!/usr/bin/env node
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import type { Io, ServerCommand } from './cli/main.ts';
import type { Config } from './config.ts';
import { boundHeap, holdYoungHeap } from './memory.ts';
import { configUsage, exitCodes, runAgent, runWitness, untilToldToStop } from './programs.ts';

/** Runs `work` with the configuration that the arguments name. Exits 2 when it cannot be used (contract §1, §2). */
async function withConfig(
  command: string,
  argv: readonly string[],
  work: (config: Config) => Promise<number>,
): Promise<number> {
  let file: string | undefined;
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { config: { type: 'string' }, help: { type: 'boolean' } },
    });
    if (values.help) {
      console.log(configUsage(command));
      return exitCodes.done;
    }
    file = values.config;
  } catch (error) {
    console.error(`latchkey: ${(error as Error).message}`);
  }
  if (file === undefined) {
    console.error(configUsage(command));
    return exitCodes.usage;
  }
  return withConfigFile(file, work);
}

async function withConfigFile(file: string, work: (config: Config) => Promise<number>): Promise<number> {
  // Loaded only where it is used: the people's commands start without any of the server's floors.
  const { ConfigError, readConfig } = await import('./config.ts');
  try {
    return await work(await readConfig(file));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    return exitCodes.usage;
  }
}

async function serve(argv: readonly string[]): Promise<number> {
  const letYoungHeapGrow = holdYoungHeap();
  // Each task that compiles the policy engine keeps some 10 MB of its own, and one is enough.
  setFlagsFromString('--wasm-num-compilation-tasks=1');
  return withConfig('serve', argv, async (config) => {
    const { createLog } = await import('./log.ts');
    const { startBroker } = await import('./serve.ts');
    const log = createLog(process.stdout);
    const stopped = untilToldToStop();
    try {
      const broker = await startBroker(config, log);
      log.info({ url: broker.url, publicUrl: config.publicUrl, region: config.region }, 'ready');
      letYoungHeapGrow();
      // Written now rather than at the end, which may be a kill.
      flushCompileCache();
      log.info({ signal: await stopped }, 'stopping');
      await broker.stop();
      log.info({}, 'stopped');
      return exitCodes.done;
    } catch (error) {
      log.error({ error: error instanceof Error ? error.message : String(error) }, 'cannot go on');
      return exitCodes.failed;
    }
  });
}

async function migrateCommand(argv: readonly string[]): Promise<number> {
  return withConfig('migrate', argv, async (config) => {
    if (!('adminUrl' in config.database) || config.database.adminUrl === undefined) {
      console.error('`/database/adminUrl` is missing: `migrate` needs it, and an embedded database migrates at start');
      return exitCodes.usage;
    }
    const { migrate } = await import('./store/migrate.ts');
    try {
      const applied = await migrate(config.database.adminUrl);
      console.log(applied.length > 0 ? `applied ${applied.join(', ')}` : 'nothing to apply');
      return exitCodes.done;
    } catch (error) {
      console.error(`latchkey: the database could not be migrated: ${(error as Error).message}`);
      return exitCodes.failed;
    }
  });
}

async function policy(argv: readonly string[]): Promise<number> {
  const usage = 'usage: latchkey policy check|test DIR [--json]';
  const [what, ...rest] = argv;
  const json = rest.includes('--json');
  const [directory, ...more] = rest.filter((word) => word !== '--json');
  if (what === '--help' || rest.includes('--help')) {
    console.log(usage);
    return exitCodes.done;
  }
  if ((what !== 'check' && what !== 'test') || directory === undefined || more.length > 0) {
    console.error(usage);
    return exitCodes.usage;
  }
  const { readPolicyFiles } = await import('./broker/policies.ts');
  const { policyCheck, policyTest } = await import('./policy/report.ts');
  let files: Map<string, string>;
  try {
    files = await readPolicyFiles(directory);
  } catch (error) {
    console.error(`latchkey: \`${directory}\` cannot be read: ${(error as Error).message}`);
    return exitCodes.failed;
  }
  const report = (what === 'check' ? policyCheck : policyTest)(files);
  console.log(json ? JSON.stringify(report.json) : report.text);
  return report.exitCode;
}

async function ledger(argv: readonly string[]): Promise<number> {
  // However long a ledger is, little of it is looked at at once; and nobody waits for an answer while it is swept.
  boundHeap(30);
  const [what, ...rest] = argv;
  if (what === 'replay') return replay(rest);
  if (what === 'watch') {
    const { runLedgerWatch } = await import('./cli/watch/command.ts');
    return runLedgerWatch(rest, io, async (url) => (await import('./store/ledger-feed.ts')).openDatabaseFeed(url));
  }
  const { runLedger } = await import('./cli/ledger/command.ts');
  return runLedger(argv, io, {
    openDatabase: async (url) => (await import('./store/ledger-audit.ts')).openLedgerDatabase(url),
    acceptRollback,
  });
}

async function replay(argv: readonly string[]): Promise<number> {
  const { runLedgerReplay } = await import('./cli/ledger-replay.ts');
  return runLedgerReplay(argv, io, async (url, listener) => {
    const { openPool } = await import('./store/pool.ts');
    const { replayDecisions } = await import('./broker/replay-decisions.ts');
    const pool = openPool({ url, size: 1, readOnly: true });
    try {
      return await replayDecisions(pool, listener);
    } finally {
      await pool.end();
    }
  });
}

async function acceptRollback(argv: readonly string[]): Promise<number> {
  return withConfig('ledger accept-rollback', argv, async (config) => {
    const { acceptRollback: accept } = await import('./broker/accept-rollback.ts');
    const { loadSealer } = await import('./credentials/seal.ts');
    const { openVault } = await import('./credentials/open-vault.ts');
    const { openPool } = await import('./store/pool.ts');
    try {
      const pool = openPool({ url: await urlOf(config), size: 2 });
      const vault = await openVault(config.secrets);
      try {
        const sealer = await loadSealer(vault);
        const lost = await accept({ pool, region: config.region, sealer, ledger: { poke: () => {} } }, vault);
        console.log(
          lost
            ? `accepted: ${lost.from} entries had been signed, and the ledger goes on from ${lost.to}`
            : 'nothing to accept: the database has all that was signed',
        );
        return exitCodes.done;
      } finally {
        await Promise.all([pool.end(), vault.close()]);
      }
    } catch (error) {
      console.error(`latchkey: ${(error as Error).message}`);
      return exitCodes.failed;
    }
  });
}

async function keys(argv: readonly string[]): Promise<number> {
  const { runKeys } = await import('./cli/keys/command.ts');
  return runKeys(argv, io, {
    withDesk: (file, work) =>
      withConfigFile(file, async (config) => {
        const { withKeysDesk } = await import('./broker/keys-desk.ts');
        const { openVault } = await import('./credentials/open-vault.ts');
        const vault = await openVault(config.secrets);
        try {
          return await withKeysDesk({ config, url: await urlOf(config), vault }, work);
        } finally {
          await vault.close();
        }
      }),
  });
}

async function urlOf({ database }: Config): Promise<string> {
  if ('url' in database) return database.url;
  return (await import('./development/embedded-urls.ts')).embeddedUrl(database.embedded);
}

const serverCommands: readonly ServerCommand[] = [
  { name: 'serve', summary: 'run a broker', run: serve },
  { name: 'migrate', summary: 'bring the database’s schema up to date', run: migrateCommand },
  { name: 'agent', summary: 'guard the door of this device', run: runAgent },
  { name: 'policy', summary: 'check a policy bundle, or run its cases', run: policy },
  { name: 'witness', summary: 'vouch for the checkpoints of somebody’s ledger', run: runWitness },
  { name: 'keys', summary: 'show, rotate and replace the broker’s own keys', run: keys },
  { name: 'ledger', summary: 'verify, export and prove the ledger', run: ledger },
];

const interrupted = new AbortController();
const io: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  now: Date.now,
  signal: interrupted.signal,
  serverCommands,
};
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read us has gone, as `head` does.
  if (error.code === 'EPIPE') process.exit(exitCodes.done);
});
const args = process.argv.slice(2);
const serverCommand = serverCommands.find(({ name }) => name === args[0]);
if (serverCommand === undefined || serverCommand.name === 'ledger') {
  // The first Ctrl-C ends what runs tidily, the second at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
}
process.exitCode = serverCommand ? await serverCommand.run(args.slice(1)) : await runPeoplesCommand();

async function runPeoplesCommand(): Promise<number> {
  const { runCli } = await import('./cli/main.ts');
  return runCli(args, io);
}
