import { Option, type Command } from 'commander';
import type { Alarm } from '../answers.ts';
import type { CommonOptions, Runner } from '../desk.ts';
import type { TableColumn } from '../printer.ts';
import { relativeTime } from '../text/time-words.ts';
import { command, defaultLimit, limitArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly state: string;
  readonly limit: number;
}

export function addAlarms(program: Command, run: Runner): void {
  command(program, 'alarms', 'list what needs somebody to look at it', ['alarms', 'alarms --state closed'])
    .addOption(new Option('--state <state>', 'open or closed').choices(['open', 'closed']).default('open'))
    .option('--limit <number>', 'how many at most', limitArgument, defaultLimit)
    .action(({ state, limit, ...options }: Options) =>
      run(options, async (desk) => {
        const { printer, io } = desk;
        const page = await (await desk.client()).alarms({ state }, limit);
        printer.document(page);
        if (page.items.length === 0)
          printer.line(state === 'open' ? 'all is quiet: no alarm is open' : 'no alarm was ever closed');
        else printer.table(columns(io.now()), page.items);
      }),
    );
}

function columns(now: number): readonly TableColumn<Alarm>[] {
  return [
    { title: 'ALARM', value: (alarm) => alarm.kind },
    { title: 'ABOUT', value: (alarm) => alarm.subject },
    { title: 'GRANT', value: (alarm) => alarm.grant ?? '', leave: 3 },
    { title: 'SINCE', value: (alarm) => relativeTime(alarm.since, now) },
    { title: 'CLOSED', value: (alarm) => (alarm.closedAt ? relativeTime(alarm.closedAt, now) : ''), leave: 1 },
    { title: 'ID', value: (alarm) => alarm.id, leave: 2 },
  ];
}
