import { Argument, Option, type Command } from 'commander';
import { requestStates } from '../../domain/request.ts';
import type { AccessRequest } from '../answers.ts';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { lookUpNames, namesInShort, type DeviceNames } from '../device-names.ts';
import type { TableColumn } from '../printer.ts';
import { nextSteps, showRequest } from '../show-request.ts';
import { paintState, type Paint } from '../text/paint.ts';
import { isoDurationWords, relativeTime } from '../text/time-words.ts';
import { codeOfDecision, waitForDecision } from '../wait-for-decision.ts';
import { watchRequests } from '../watch-requests.ts';
import { openStages, personWords } from '../words.ts';
import { command, defaultLimit, idArgument, limitArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly view: string;
  readonly state?: string[];
  readonly tenant?: string;
  readonly limit: number;
  readonly watch?: boolean;
}

export function addRequests(program: Command, run: Runner): void {
  command(program, 'requests', 'list requests, or show one in full', [
    'requests',
    'requests --view approvable --watch',
    'requests req_… --watch',
  ])
    .addArgument(new Argument('[ID]', 'one request, in full').argParser(idArgument('request')))
    .addOption(
      new Option('--view <which>', 'mine, those I can approve, or all I may see')
        .choices(['mine', 'approvable', 'all'])
        .default('mine'),
    )
    .addOption(new Option('--state <state...>', 'only those in any of these states').choices(requestStates))
    .option('--tenant <slug>', 'only those of this tenant (slug or id)')
    .option('--limit <number>', 'how many at most', limitArgument, defaultLimit)
    .option('--watch', 'stay and show what changes; with ID, until it is decided')
    .action((id: string | undefined, options: Options) =>
      run(options, (desk) => (id === undefined ? list(desk, options) : showOne(desk, id, options))),
    );
}

async function showOne(desk: Desk, id: string, options: Options): Promise<number | void> {
  const { io, printer } = desk;
  const client = await desk.client();
  const first = await client.request(id);
  if (!options.watch) printer.document(first);
  const request = options.watch ? await waitForDecision(desk, client, first) : first;
  await showRequest(printer, client, request, io.now());
  nextSteps(printer, request);
  return options.watch ? codeOfDecision(request) : undefined;
}

async function list(desk: Desk, options: Options): Promise<void> {
  const { io, printer } = desk;
  const { view, state, tenant, limit } = options;
  const client = await desk.client();
  const read = () => client.requests({ view, state, tenant }, limit);
  const page = await read();
  if (!options.watch) printer.document(page);
  const names = printer.json
    ? String
    : await lookUpNames(
        client,
        page.items.flatMap(({ devices }) => devices),
      );
  if (page.items.length === 0) printer.line(emptyWords(options));
  else printer.table(columns(io.now(), names, view, printer.paint), page.items);
  if (page.next !== null) printer.remark('there are more: narrow with --state, or raise --limit');
  if (options.watch) await watchRequests(desk, page, read, (id) => client.request(id));
}

function emptyWords({ view, state, watch }: Options): string {
  if (view === 'approvable') return `nothing waits for you${watch ? '' : '; stay and see with `--watch`'}`;
  if (state || view === 'all') return 'there are no such requests';
  return 'you have not asked for anything yet; see what you may ask for with `latchkey profiles`';
}

function columns(now: number, names: DeviceNames, view: string, paint: Paint): readonly TableColumn<AccessRequest>[] {
  const who: TableColumn<AccessRequest> = {
    title: 'WHO',
    value: (request) => personWords(request.requester),
    shrinkTo: 8,
    leave: 3,
  };
  const state: TableColumn<AccessRequest> = {
    title: 'STATE',
    value: (request) => request.state,
    paint: (request) => paintState(paint, request.state),
  };
  return [
    { title: 'ID', value: (request) => request.id },
    ...(view === 'approvable' ? [] : [state]),
    { title: 'PROFILE', value: (request) => request.profile, shrinkTo: 11 },
    { title: 'DEVICES', value: (request) => namesInShort(request.devices, names), shrinkTo: 8 },
    ...(view === 'mine' ? [] : [who]),
    { title: 'FOR', value: (request) => isoDurationWords(request.duration), leave: 5 },
    { title: 'ASKED', value: (request) => relativeTime(request.createdAt, now), leave: 6 },
    {
      title: 'NEEDS',
      value: (request) =>
        openStages(request)
          .map(({ name }) => name)
          .join(', '),
      shrinkTo: 8,
      leave: 4,
    },
    { title: 'REASON', value: (request) => request.reason ?? '', shrinkTo: 10, leave: 7 },
  ];
}
