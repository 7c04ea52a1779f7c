import { fileURLToPath } from 'node:url';

/** The programs behind the actions for Linux; as they are written, or compiled, whichever this file is. */
const main = fileURLToPath(import.meta.resolve(`../linux/main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`));

export const shippedPrograms = ['inspect', 'collect-logs', 'restart-service', 'reset-usb', 'reboot', 'update'] as const;

/** How a program that comes with the agent is run: by the same Node.js that runs the agent. Null of an unknown one. */
export function shippedProgram(name: string): readonly [file: string, ...first: string[]] | null {
  return (shippedPrograms as readonly string[]).includes(name) ? [process.execPath, main, name] : null;
}

/** The file of a set of actions that comes with the agent. */
export function shippedSet(name: string): string {
  return fileURLToPath(new URL(`../../../agent-actions/${name}.json`, import.meta.url));
}
