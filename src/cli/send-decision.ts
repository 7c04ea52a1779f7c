import type { NewDecision } from './client.ts';
import type { Desk } from './desk.ts';
import { showRequest } from './show-request.ts';
import { neutralise } from './text/neutralise.ts';
import { grantOutcome, openStages, stageWords } from './words.ts';

/** Sends one person's yes or no and shows what the request has become. */
export async function decide(desk: Desk, id: string, decision: NewDecision): Promise<void> {
  const { io, printer } = desk;
  const client = await desk.client();
  const request = await client.decide(id, decision);
  printer.document(request);
  await showRequest(printer, client, request, io.now());
  const waiting = openStages(request).map(stageWords).join(' and ');
  if (request.state === 'pending') printer.line(neutralise(`\u2192 noted; it still waits for ${waiting}`));
  else if (request.state === 'granted' && request.grant) {
    printer.line(`→ granted; it ${neutralise(grantOutcome(request.grant, io.now()))}`);
    printer.line(`  end it before its time with: latchkey revoke ${request.grant.id} --reason "…"`);
  } else printer.line(`→ ${request.state}; nobody gets access by this request`);
}
