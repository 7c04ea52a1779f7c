import type { Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { brokerUrl, forgetSignIns, readSignIns } from '../sign-ins.ts';
import { command } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly all?: boolean;
}

export function addLogout(program: Command, run: Runner): void {
  command(
    program,
    'logout',
    'forget the token that `login` saved',
    ['logout', 'logout --all'],
    'Your key stays, so that grants in use can still be used after the next login. Grants are not ended: release them.',
  )
    .option('--all', 'of every broker signed in to, not only the current one')
    .action((options: Options) =>
      run(options, async ({ directory, io, printer }) => {
        const signIns = await readSignIns(directory);
        const known = Object.keys(signIns.brokers).length > 0;
        const gone = known ? await forgetSignIns(directory, options.all ? null : brokerUrl(signIns, io.env)) : [];
        printer.document({ signedOutOf: gone });
        printer.line(
          gone.length > 0 ? `signed out of ${gone.join(', ')}` : 'you were not signed in, so nothing changed',
        );
        if (io.env.LATCHKEY_TOKEN) printer.note('LATCHKEY_TOKEN is still set in this shell, and is used where it is');
      }),
    );
}
