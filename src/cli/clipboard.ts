import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program that puts what it reads into the clipboard. */
export interface Clipboard {
  readonly name: string;
  /** True once the clipboard has it. The text goes through the program's standard input and nowhere else. */
  copy(text: string): Promise<boolean>;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Known {
  readonly name: string;
  readonly arguments: readonly string[];
  /** It works only where this is set. */
  readonly needs?: string;
}

const known: readonly Known[] = [
  { name: 'pbcopy', arguments: [] },
  { name: 'clip.exe', arguments: [] },
  { name: 'wl-copy', arguments: ['--sensitive'], needs: 'WAYLAND_DISPLAY' },
  { name: 'xclip', arguments: ['-selection', 'clipboard', '-in'], needs: 'DISPLAY' },
  { name: 'xsel', arguments: ['--clipboard', '--input'], needs: 'DISPLAY' },
];
/** What such a program may need to find its display; nothing of ours, such as a token. */
const passedOn = ['PATH', 'HOME', 'DISPLAY', 'WAYLAND_DISPLAY', 'XAUTHORITY', 'XDG_RUNTIME_DIR', 'SystemRoot', 'LANG'];
const longestMs = 3_000;

/** The clipboard of this machine, or null where none is known. */
export function findClipboard(env: Environment): Clipboard | null {
  for (const { name, arguments: args, needs } of known) {
    if (needs !== undefined && !env[needs]) continue;
    const file = findProgram(name, env['PATH'] ?? '');
    if (file !== null) return { name, copy: (text) => feed(file, args, text, env) };
  }
  return null;
}

function findProgram(name: string, path: string): string | null {
  for (const folder of path.split(delimiter).filter(Boolean)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // In the next one, perhaps.
    }
  }
  return null;
}

function feed(file: string, args: readonly string[], text: string, env: Environment): Promise<boolean> {
  const own = Object.fromEntries(passedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  return new Promise((resolve) => {
    // What it leaves running in the background, to serve the clipboard, is its own: only its exit is waited for.
    const child = spawn(file, args, { env: own, stdio: ['pipe', 'ignore', 'ignore'], timeout: longestMs });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
    child.stdin.on('error', () => undefined);
    child.stdin.end(text);
  });
}
