import { neutralise } from '../text/neutralise.ts';
import { count } from './progress.ts';
import type { Trust, Verification } from './verify.ts';

/** How many findings are told one by one. */
const told = 10;

/** What a verification came to, for people and for programs. @param milliseconds how long it took. */
export function describe(
  { checkpoint, findings, remarks }: Verification,
  { key, pinned }: Trust,
  milliseconds: number,
): { readonly text: string; readonly json: Readonly<Record<string, unknown>> } {
  const [first] = findings;
  const head = checkpoint && {
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: Buffer.from(checkpoint.root).toString('base64'),
  };
  const json = {
    holds: !first,
    ...(first && { index: first.index, reason: first.reason, findings }),
    ...head,
    keyPinned: key !== null,
    pinned: pinned && { size: pinned.size, root: Buffer.from(pinned.root).toString('base64') },
    remarks,
    seconds: milliseconds / 1_000,
  };
  const took = `${(milliseconds / 1_000).toFixed(1)} s`;
  const lines = first
    ? findings.slice(0, told).map(({ index, reason }) => `${index === null ? '' : `entry ${index}: `}${reason}`)
    : [
        `${head!.origin}: ${count(head!.size)} entries hold, as does what they say of one another (${took})`,
        `root ${head!.root}`,
      ];
  if (findings.length > told) lines.push(`and ${findings.length - told} more`);
  if (first) lines.unshift('the ledger does not hold');
  if (pinned && !first) lines.push(`it continues the pinned checkpoint of ${count(pinned.size)} entries`);
  const notes: string[] = [];
  if (!key) {
    const beyond = pinned ? ` beyond the ${count(pinned.size)} entries pinned` : '';
    notes.push(
      `no key was given: nothing${beyond} shows that this is the ledger you know, only that it agrees with itself`,
    );
  }
  if (remarks.unknownTypes > 0)
    notes.push(`${count(remarks.unknownTypes)} events are of types unknown here: only their form was checked`);
  if (remarks.lateSessions > 0)
    notes.push(`${count(remarks.lateSessions)} sessions were reported too late to look for their credentials`);
  if (remarks.waiting > 0) notes.push(`${count(remarks.waiting)} events have waited for a position for more than 10 s`);
  lines.push(...notes.map((note) => `note: ${note}`));
  return { text: lines.map((line) => `${neutralise(line)}\n`).join(''), json };
}
