import type { Command } from 'commander';
import type { Profile } from '../answers.ts';
import type { CommonOptions, Runner } from '../desk.ts';
import type { TableColumn } from '../printer.ts';
import { isoDurationWords } from '../text/time-words.ts';
import { stageInShort } from '../words.ts';
import { command } from '../arguments.ts';

const columns: readonly TableColumn<Profile>[] = [
  { title: 'PROFILE', value: (profile) => profile.name },
  { title: 'SCOPES', value: (profile) => profile.scopes.join(' '), shrinkTo: 21, wrap: true },
  {
    title: 'NEEDS',
    value: (profile) => profile.stages.map(stageInShort).join(', ') || 'nobody',
    shrinkTo: 18,
    wrap: true,
  },
  { title: 'LONGEST', value: (profile) => isoDurationWords(profile.longest) },
  { title: 'DATA', value: (profile) => profile.dataClasses.join(', '), shrinkTo: 12, wrap: true, leave: 1 },
];

export function addProfiles(program: Command, run: Runner): void {
  command(program, 'profiles', 'list what you may ask for, and who must agree', ['profiles']).action(
    (options: CommonOptions) =>
      run(options, async (desk) => {
        const { printer } = desk;
        const page = await (await desk.client()).profiles();
        printer.document(page);
        if (page.items.length === 0) {
          printer.line('there is nothing that you may ask for; `latchkey whoami` shows what the broker knows of you');
          return;
        }
        printer.table(columns, page.items);
        printer.remark(`ask with: latchkey request ${page.items[0]!.name} DEVICE --for 30m --reason "…"`);
      }),
  );
}
