import type { Command } from 'commander';
import type { CommonOptions, Runner } from '../desk.ts';
import { neutralise } from '../text/neutralise.ts';
import { relativeTime } from '../text/time-words.ts';
import { wrapToWidth } from '../text/width.ts';
import { command, defaultLimit, limitArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly limit: number;
}

export function addNotices(program: Command, run: Runner): void {
  command(program, 'notices', 'read what you have to be told, like a use of break-glass', ['notices'])
    .option('--limit <number>', 'how many at most', limitArgument, defaultLimit)
    .action(({ limit, ...options }: Options) =>
      run(options, async (desk) => {
        const { printer, io } = desk;
        const page = await (await desk.client()).notices({}, limit);
        printer.document(page);
        if (page.items.length === 0) printer.line('there is nothing you have to be told');
        for (const { at, text, subject } of page.items) {
          const [first, ...rest] = wrapToWidth(neutralise(text), Math.max(20, printer.width - 14));
          printer.line(`${printer.paint.strong(relativeTime(at, io.now()).padEnd(12))}  ${first}`);
          for (const line of rest) printer.line(`${' '.repeat(14)}${line}`);
          printer.line(`${' '.repeat(12)}  ${printer.paint.faint(neutralise(subject))}`);
        }
      }),
    );
}
