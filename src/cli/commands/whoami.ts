import type { Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { accessFor, readSignIns } from '../sign-ins.ts';
import { relativeTime } from '../text/time-words.ts';
import { neutralise } from '../text/neutralise.ts';
import { command } from '../arguments.ts';

export function addWhoami(program: Command, run: Runner): void {
  command(program, 'whoami', 'show who you are to the broker, and until when', ['whoami']).action(
    (options: CommonOptions) =>
      run(options, async (desk) => {
        const { io, printer } = desk;
        const { url, expiresAt } = accessFor(await readSignIns(desk.directory), io.env, io.now());
        const me = await (await desk.client()).me();
        const now = io.now();
        printer.document({ ...me, url, signInExpiresAt: expiresAt });
        printer.line(`${printer.paint.strong(neutralise(me.name ?? 'someone without a name'))}  ${me.id}`);
        printer.facts([
          ['broker', url],
          ['teams', me.teams.join(', ') || 'none'],
          ['employer', me.employer ?? 'unknown'],
          ['region', me.region ?? 'unknown'],
          ['training', trainingWords(me.trainingValidUntil, now)],
          ['sign-in', expiresAt ? `runs out ${relativeTime(expiresAt, now)}` : 'from LATCHKEY_TOKEN'],
        ]);
      }),
  );
}

function trainingWords(until: string | null, now: number): string {
  if (!until) return 'none known, so nothing can be asked for';
  const when = relativeTime(until, now);
  return Date.parse(until) > now ? `valid, runs out ${when}` : `ran out ${when}, so nothing can be asked for`;
}
