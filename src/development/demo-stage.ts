import { join } from 'node:path';
import { runCli } from '../cli/main.ts';
import type { World } from './world.ts';

const colours = process.stdout.isTTY && !('NO_COLOR' in process.env);
export const paint = (code: number, text: string): string => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);

/** A step that was not as it should be. */
export class Unexpected extends Error {}

/** Fails the demo when something is not as it should be. */
export function expect(condition: boolean, what: string): void {
  if (!condition) throw new Unexpected(what);
}

/** What a command said, and how it ended. */
export interface Said {
  readonly exit: number;
  readonly text: string;
}

/** People at their terminals: what they type is shown, run by the real command line, and its words are shown too. */
export class Stage {
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

/** What was said that looks like this. @throws Unexpected when nothing was. */
export function find(pattern: RegExp, text: string): string {
  const [found] = pattern.exec(text) ?? [];
  if (found === undefined) throw new Unexpected(`nothing like ${pattern.source} was said`);
  return found;
}
