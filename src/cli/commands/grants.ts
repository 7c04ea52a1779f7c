import { Argument, Option, type Command } from 'commander';
import { grantStates } from '../../domain/grant.ts';
import type { Grant } from '../answers.ts';
import type { CommonOptions, Desk, Runner } from '../desk.ts';
import { lookUpNames, namesInShort, type DeviceNames } from '../device-names.ts';
import { findDevice } from '../find-device.ts';
import type { TableColumn } from '../printer.ts';
import { showGrant } from '../show-grant.ts';
import { paintState, type Paint } from '../text/paint.ts';
import { relativeTime } from '../text/time-words.ts';
import { personWords, unconfirmedWords } from '../words.ts';
import { command, defaultLimit, idArgument, limitArgument } from '../arguments.ts';

interface Options extends CommonOptions {
  readonly view: string;
  readonly state?: string[];
  readonly device?: string;
  readonly tenant?: string;
  readonly limit: number;
}

export function addGrants(program: Command, run: Runner): void {
  command(program, 'grants', 'list grants, or show one in full', [
    'grants --state active',
    'grants --view all --device oslo-3',
    'grants grt_…',
  ])
    .addArgument(new Argument('[ID]', 'one grant, in full').argParser(idArgument('grant')))
    .addOption(new Option('--view <which>', 'mine, or all I may see').choices(['mine', 'all']).default('mine'))
    .addOption(new Option('--state <state...>', 'only those in any of these states').choices(grantStates))
    .option('--device <device>', 'only those on this device (id, name, host name or serial number)')
    .option('--tenant <slug>', 'only those of this tenant (slug or id)')
    .option('--limit <number>', 'how many at most', limitArgument, defaultLimit)
    .action((id: string | undefined, options: Options) =>
      run(options, (desk) => (id === undefined ? list(desk, options) : showOne(desk, id))),
    );
}

async function showOne({ client, printer, io }: Desk, id: string): Promise<void> {
  const api = await client();
  const grant = await api.grant(id);
  printer.document(grant);
  await showGrant(printer, api, grant, io.now());
}

async function list(desk: Desk, options: Options): Promise<void> {
  const { io, printer } = desk;
  const { view, state, tenant, limit } = options;
  const client = await desk.client();
  const device = options.device === undefined ? undefined : (await findDevice(client, options.device)).id;
  const page = await client.grants({ view, state, device, tenant }, limit);
  printer.document(page);
  if (printer.json) return;
  if (page.items.length === 0) {
    const narrowed = state !== undefined || device !== undefined || view === 'all';
    printer.line(narrowed ? 'there are no such grants' : 'you hold no grants; ask for one with `latchkey request`');
    return;
  }
  const names = await lookUpNames(
    client,
    page.items.flatMap(({ devices }) => devices),
  );
  printer.table(columns(io.now(), names, view, printer.paint), page.items);
  if (page.next !== null) printer.remark('there are more: narrow with --state, or raise --limit');
}

function columns(now: number, names: DeviceNames, view: string, paint: Paint): readonly TableColumn<Grant>[] {
  const who: TableColumn<Grant> = { title: 'WHO', value: (grant) => personWords(grant.person), shrinkTo: 8 };
  return [
    { title: 'ID', value: (grant) => grant.id },
    { title: 'STATE', value: (grant) => grant.state, paint: (grant) => paintState(paint, grant.state) },
    { title: 'PROFILE', value: (grant) => grant.profile, shrinkTo: 9, leave: 1 },
    { title: 'DEVICES', value: (grant) => namesInShort(grant.devices, names), shrinkTo: 8 },
    ...(view === 'mine' ? [] : [who]),
    { title: 'WHEN', value: (grant) => whenWords(grant, now), shrinkTo: 16 },
    { title: 'REVIEW', value: (grant) => grant.review?.state ?? '', leave: 2 },
    { title: 'WHY', value: (grant) => endingWords(grant), shrinkTo: 14, leave: 3 },
  ];
}

function whenWords(grant: Grant, now: number): string {
  if (grant.state === 'scheduled') return `starts ${relativeTime(grant.startsAt, now)}`;
  if (grant.state === 'active') return `ends ${relativeTime(grant.expiresAt, now)}`;
  return `${relativeTime(grant.endedAt ?? grant.expiresAt, now)}${unconfirmedWords(grant, ', ')}`;
}

function endingWords({ state, endedBy, endReason }: Grant): string {
  return [state === 'revoked' ? personWords(endedBy) : '', endReason].filter(Boolean).join(': ');
}
