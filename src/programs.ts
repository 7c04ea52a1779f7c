import { parseArgs } from 'node:util';

/** What the server's commands exit with (contract §1). */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

export const configUsage = (command: string): string => `usage: latchkey ${command} --config FILE`;

/** Resolves with the signal that ends this process. Whoever waits for it is not ended by it otherwise. */
export function untilToldToStop(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

/** `latchkey witness`: cosigns the checkpoints of ledgers until it is told to stop (docs/witness.md). @returns its exit code. */
export async function runWitness(argv: readonly string[]): Promise<number> {
  const usage = 'usage: latchkey witness --config FILE [--vkey]';
  let asked: { config?: string | undefined; vkey?: boolean | undefined; help?: boolean | undefined } = {};
  try {
    const options = { config: { type: 'string' }, vkey: { type: 'boolean' }, help: { type: 'boolean' } } as const;
    asked = parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    console.error(`latchkey: ${(error as Error).message}`);
  }
  if (asked.help || asked.config === undefined) {
    console[asked.help ? 'log' : 'error'](usage);
    return asked.help ? exitCodes.done : exitCodes.usage;
  }
  const { WitnessConfigError, readWitnessConfig } = await import('./witness/config.ts');
  const { startWitness, witnessVkey } = await import('./witness/start.ts');
  try {
    const config = await readWitnessConfig(asked.config);
    if (asked.vkey) {
      console.log(await witnessVkey(config));
      return exitCodes.done;
    }
    const { lockState } = await import('./development/state-lock.ts');
    const { createLog } = await import('./log.ts');
    const log = createLog(process.stdout);
    const stopped = untilToldToStop();
    // Two that share what they cosigned last could cosign two histories.
    const lock = lockState(config.state);
    const running = await startWitness(config, log);
    log.info({ url: running.url, vkey: running.vkey }, 'ready');
    log.info({ signal: await stopped }, 'stopping');
    await running.stop();
    lock.release();
    return exitCodes.done;
  } catch (error) {
    console.error(error instanceof WitnessConfigError ? error.message : `latchkey: ${(error as Error).message}`);
    return error instanceof WitnessConfigError ? exitCodes.usage : exitCodes.failed;
  }
}

const takenOut =
  'latchkey: the device is no longer enrolled; run `latchkey agent unenrol`, and enrol it with a new code';

/** `latchkey agent`: guards a device's door, or takes the device out (docs/agent.md). @returns its exit code. */
export async function runAgent(argv: readonly string[]): Promise<number> {
  const isUnenrolling = argv[0] === 'unenrol';
  const usage = `${configUsage('agent')}\n       latchkey agent unenrol --config FILE [--erase]`;
  let asked: { config?: string | undefined; help?: boolean | undefined; erase?: boolean | undefined } = {};
  try {
    const options = { config: { type: 'string' }, help: { type: 'boolean' }, erase: { type: 'boolean' } } as const;
    asked = parseArgs({ args: argv.slice(isUnenrolling ? 1 : 0), options }).values;
    if (asked.erase && !isUnenrolling) throw new Error('`--erase` belongs to `latchkey agent unenrol`');
  } catch (error) {
    console.error(`latchkey: ${(error as Error).message}`);
    asked = {};
  }
  if (asked.help || asked.config === undefined) {
    console[asked.help ? 'log' : 'error'](usage);
    return asked.help ? exitCodes.done : exitCodes.usage;
  }
  const { AgentConfigError, readAgentConfig } = await import('./agent/program/config.ts');
  const { isUnenrolled } = await import('./agent/broker-calls.ts');
  const { runAgentProgram } = await import('./agent/program/run.ts');
  const { lockState } = await import('./development/state-lock.ts');
  const { createLog } = await import('./log.ts');
  try {
    const config = await readAgentConfig(asked.config);
    if (isUnenrolling) {
      const { unenrolProgram } = await import('./agent/program/unenrol.ts');
      await unenrolProgram(config, { log: createLog(process.stderr), lock: lockState, erase: asked.erase === true });
      console.log('the device is no longer enrolled, and its key is gone');
      return exitCodes.done;
    }
    const stopping = new AbortController();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort(signal));
    const end = await runAgentProgram(config, {
      log: createLog(process.stdout),
      lock: lockState,
      signal: stopping.signal,
    });
    // What still hangs, such as a call to a broker that does not answer, must not hold up the end.
    if (end === 'unenrolled') console.error(takenOut);
    return process.exit({ stopped: exitCodes.done, unenrolled: exitCodes.usage, hung: exitCodes.failed }[end]);
  } catch (error) {
    // Neither changes by starting again.
    const isFinal = error instanceof AgentConfigError || isUnenrolled(error);
    if (isUnenrolled(error)) console.error(takenOut);
    else console.error(error instanceof AgentConfigError ? error.message : `latchkey: ${(error as Error).message}`);
    return process.exit(isFinal ? exitCodes.usage : exitCodes.failed);
  }
}
