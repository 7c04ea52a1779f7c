import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { isPassword } from '../../domain/local-admin.ts';
import { PasswordNotSet } from '../keep-password.ts';

/** The account whose password the agent sets, or the program that sets it. */
export type LocalAdministratorConfig =
  { readonly account: string } | { readonly command: readonly [file: string, ...arguments: string[]] };

/** What Linux takes for the name of a user (useradd(8)). */
export const accountPattern = '^[a-z_][a-z0-9_-]{0,31}$';

/** Where distributions keep it. */
const places = ['/usr/sbin/chpasswd', '/sbin/chpasswd', '/usr/bin/chpasswd', '/bin/chpasswd'];
/** Less than an agent that is told to stop has left. */
const longestMs = 5_000;
const environment =
  process.platform === 'win32'
    ? { SystemRoot: 'C:\\Windows' }
    : { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };

/**
 * How a password is set: by `chpasswd` for an account of this machine, or by a program that reads it, and a newline, from
 * its standard input. It is never an argument of a program, nor in its environment; what a program says is not repeated,
 * for it may quote what it was given.
 */
export function passwordSetter(
  config: LocalAdministratorConfig,
  options: { readonly longestMs?: number } = {},
): (password: string) => Promise<void> {
  const [file, ...args] = 'account' in config ? [chpasswd()] : config.command;
  return async (password) => {
    // A line of `chpasswd`'s input is an account: nothing that could begin another goes in.
    if (!isPassword(password)) throw new PasswordNotSet('the password is none such as brokers make');
    const line = 'account' in config ? `${config.account}:${password}` : password;
    await feed(file, args, `${line}\n`, options.longestMs ?? longestMs);
  };
}

function chpasswd(): string {
  return places.find(isProgram) ?? places[0]!;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs a program and gives it that input. @throws PasswordNotSet unless it ends with 0 in time. */
function feed(file: string, args: readonly string[], input: string, timeLimit: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new PasswordNotSet(`\`${file}\` ${why}`));
    const child = spawn(file, args, { env: environment, stdio: ['pipe', 'ignore', 'ignore'], windowsHide: true });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`took longer than ${timeLimit} ms`);
    }, timeLimit);
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      fail(`cannot be run (${error.code ?? 'unknown'})`);
    });
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve();
      else fail(signal === null ? `ended with ${code}` : `was ended by ${signal}`);
    });
    // One that reads nothing ends the pipe; its exit says what became of it.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
