import { fileURLToPath } from 'node:url';

/** The programs that come with the agent, for the actions that come with it. */
const programs = {
  inspect: new URL('../linux/inspect.ts', import.meta.url),
} as const;

export const shippedPrograms = Object.keys(programs);

/** How a program that comes with the agent is run: by the same Node.js that runs the agent. Null of an unknown one. */
export function shippedProgram(name: string): readonly [file: string, ...first: string[]] | null {
  if (!Object.hasOwn(programs, name)) return null;
  return [process.execPath, fileURLToPath(programs[name as keyof typeof programs])];
}
