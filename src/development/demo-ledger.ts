import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { expect, paint } from './demo-stage.ts';

interface LedgerLine {
  readonly at: string;
  readonly type: string;
  readonly actor: { readonly kind: string };
  readonly grant?: string;
  readonly request?: string;
  readonly statement?: string;
}

/** Names and words of the story. The short one counts as a word alone: hashes and signatures hold it by chance. */
const personal = /(?<![\w-])Ada(?![\w-])|Okafor|panel frozen|INC0012345/;

/** What a device signed, in clear: in the event it is base64url. */
function claimsIn({ statement }: LedgerLine): string[] {
  return statement ? [Buffer.from(statement.split('.')[1] ?? '', 'base64url').toString('utf8')] : [];
}

/** Reads the events as the auditor's own role of the database, which can do nothing else. */
export async function showLedger(directory: string): Promise<void> {
  const urls = JSON.parse(await readFile(join(directory, 'urls.json'), 'utf8')) as { auditor: string };
  const client = new Client({ connectionString: urls.auditor });
  await client.connect();
  try {
    const wanted = [
      'request.submitted',
      'request.refused',
      'request.approved',
      'grant.started',
      'credential.issued',
      'session.started',
      'action.performed',
      'grant.revoked',
      'session.ended',
    ];
    const read = async (): Promise<LedgerLine[]> => {
      const { rows } = await client.query<{ bytes: Buffer }>('SELECT bytes FROM audit_events ORDER BY at, id');
      return rows.map((row) => JSON.parse(row.bytes.toString('utf8')) as LedgerLine);
    };
    const count = (events: readonly LedgerLine[], type: string): number => events.filter((e) => e.type === type).length;
    const isWhole = (events: readonly LedgerLine[]): boolean =>
      wanted.every((type) => count(events, type) > 0) &&
      count(events, 'session.ended') === count(events, 'session.started');
    let events = await read();
    // Devices report a moment later.
    for (let tries = 0; tries < 100 && !isWhole(events); tries++) {
      await sleep(100);
      events = await read();
    }
    for (const event of events) {
      const subject = event.grant ?? event.request ?? '';
      console.log(`   ${event.at}  ${event.type.padEnd(20)} ${event.actor.kind.padEnd(7)} ${paint(2, subject)}`);
    }
    for (const type of wanted) expect(count(events, type) > 0, `the ledger has no \`${type}\``);
    expect(
      count(events, 'session.ended') === count(events, 'session.started'),
      'a session has not been confirmed ended',
    );
    const found = personal.exec(events.flatMap((event) => [JSON.stringify(event), ...claimsIn(event)]).join('\n'));
    expect(!found, `the ledger holds something personal: \`${found?.[0]}\``);
    console.log(`   ${events.length} events; no name, no reason, no key among them`);
  } finally {
    await client.end();
  }
}
