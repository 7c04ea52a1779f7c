import type { ServerResponse } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { InputMistake } from '../domain/errors.ts';
import { startOutput } from './action-output.ts';
import { commitToArguments, durationIn, type ActionArguments } from './device-events.ts';
import type { ActionDescription } from './describe-action.ts';
import { DoorError } from './door-http.ts';
import type { Reporter } from './report.ts';
import type { Session } from './sessions.ts';

export interface ActionContext {
  /** What is done, and for which session of which grant. */
  readonly scope: string;
  readonly session: Pick<Session, 'id' | 'grant'>;
  /** Aborted when the session ends or the client goes away; the action must then stop at once. */
  readonly signal: AbortSignal;
  /** Sends output as it comes. Await it, and output that nobody reads cannot pile up. */
  readonly stdout: (data: string | Uint8Array) => Promise<void>;
  readonly stderr: (data: string | Uint8Array) => Promise<void>;
}

/** Does one thing to the device and resolves with its exit code: 0 is success. */
export type Action = (args: ActionArguments, context: ActionContext) => Promise<number>;

/** Arguments that an action does not take: told to the caller before anything is begun. */
export class BadArguments extends Error {
  override readonly name = 'BadArguments';
  /** Each with a pointer into the arguments, such as `/lines`. */
  readonly mistakes: readonly InputMistake[];

  constructor(mistakes: readonly InputMistake[]) {
    super(mistakes.map(({ pointer, message }) => `${pointer}: ${message}`).join('; '));
    this.mistakes = mistakes;
  }
}

/** An action that says what it takes, and judges its arguments before it begins. */
export interface DeclaredAction {
  readonly about: ActionDescription;
  /** What would do it with these arguments. @throws BadArguments */
  prepare(args: ActionArguments): Promise<PreparedAction>;
}

export type PreparedAction = (context: ActionContext) => Promise<number>;

/** What the program does, by scope. A scope that is not here cannot be used, whatever a credential says. */
export type Actions = ReadonlyMap<string, Action | DeclaredAction>;

const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const maxArguments = 32;

/**
 * Reads `{ "args": { name: text | number | true | false } }`; no body means no arguments.
 * @throws DoorError for anything else.
 */
export function readArguments(body: unknown): ActionArguments {
  if (body === null) return {};
  const isObject = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(body) || Object.keys(body).some((name) => name !== 'args')) {
    throw new DoorError('invalid-request', 'the body is an object with `args` and nothing else');
  }
  const args = (body as { readonly args?: unknown }).args ?? {};
  if (!isObject(args)) throw new DoorError('invalid-request', '`args` is an object');
  const entries = Object.entries(args);
  const isPlain = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value);
  if (entries.length > maxArguments || !entries.every(([name, value]) => namePattern.test(name) && isPlain(value))) {
    throw new DoorError('invalid-request', 'an argument has a plain name and is a text, a number, true or false');
  }
  // Without a prototype, an argument that was not given is never something inherited.
  const own: Record<string, string | number | boolean> = Object.create(null);
  return Object.assign(own, Object.fromEntries(entries));
}

/** What does an action with these arguments. @throws DoorError `invalid-request` for arguments that it does not take. */
export async function prepareAction(action: Action | DeclaredAction, args: ActionArguments): Promise<PreparedAction> {
  if (typeof action === 'function') return (context) => action(args, context);
  try {
    return await action.prepare(args);
  } catch (error) {
    if (!(error instanceof BadArguments)) throw error;
    const errors = error.mistakes.map(({ pointer, message }) => ({ pointer: `/args${pointer}`, message }));
    throw new DoorError('invalid-request', 'the action does not take these arguments', errors);
  }
}

export interface ActionCall {
  readonly session: Session;
  readonly scope: string;
  readonly perform: PreparedAction;
  readonly args: ActionArguments;
  readonly response: ServerResponse;
  readonly reporter: Reporter;
  readonly log: (message: string, details?: Readonly<Record<string, unknown>>) => void;
}

/**
 * Runs an action in its session and streams its output; reports it once it has settled. It begins only once it is on the
 * disk that it will be told of. The last line is its exit code, or why the session ended.
 * @throws DoorError `conflict` when the session's one action is already running; `unavailable` when there is no room to
 *   write it down.
 */
export async function performAction(call: ActionCall): Promise<void> {
  const held = call.session.hold(() => run(call));
  if (held === null) throw new DoorError('conflict', 'the session is running another action, or has ended');
  await held;
}

async function run({ session, scope, perform, args, response, reporter, log }: ActionCall): Promise<void> {
  const commitment = commitToArguments(args);
  const about = { session: session.id, grant: session.grant, scope, args: commitment?.commitment ?? null };
  const unfinished = { type: 'action.performed', ...about, exit: null, durationMs: 0, bytes: 0 } as const;
  const promised = await reporter.promise(unfinished);
  if (commitment) log('the arguments of an action can be opened', { event: promised.id, salt: commitment.salt });
  const began = performance.now();
  const output = startOutput(response);
  const signal = AbortSignal.any([session.signal, output.gone]);
  const cutOff = () => output.finish({ ended: String(session.signal.reason) });
  session.signal.addEventListener('abort', cutOff, { once: true });
  // It may have ended while that was written down.
  if (session.signal.aborted) cutOff();
  const context: ActionContext = {
    scope,
    session,
    signal,
    stdout: (data) => output.write('stdout', data),
    stderr: (data) => output.write('stderr', data),
  };
  const exit = await settle(
    () => perform(context),
    signal,
    async (error) => {
      log('an action failed', { scope, why: error instanceof Error ? error.message : 'unknown' });
      await output.write('stderr', `\`${scope}\` failed; the log of the device's agent says why\n`);
    },
  );
  session.signal.removeEventListener('abort', cutOff);
  const durationMs = durationIn(performance.now() - began);
  await promised.keep({ ...unfinished, exit, durationMs, bytes: output.bytes() });
  if (exit !== null) output.finish({ exit });
}

/** The exit code; 1 of an action that threw; null of one that was cut off, whatever it made of that. */
async function settle(
  work: () => Promise<number>,
  signal: AbortSignal,
  failed: (error: unknown) => Promise<void>,
): Promise<number | null> {
  if (signal.aborted) return null;
  try {
    const exit = await work();
    return signal.aborted ? null : exit;
  } catch (error) {
    if (signal.aborted) return null;
    await failed(error);
    return 1;
  }
}
