import { setTimeout as sleep } from 'node:timers/promises';
import type { AccessRequest } from './answers.ts';
import type { Client } from './client.ts';
import type { Desk } from './desk.ts';
import { exitCodes, Failure } from './failure.ts';
import { standing } from './show-request.ts';
import { durationWords } from './text/time-words.ts';
import { cutToWidth } from './text/width.ts';
import { columnsOf } from './printer.ts';

/** Seconds of one long poll; the broker answers sooner when something changes. */
const pollSeconds = 25;

/**
 * Follows a request until it is decided: a live line on a terminal, elsewhere a line a change; with `--json` a
 * document a change. Ctrl-C stops the waiting, not the request.
 */
export async function waitForDecision(desk: Desk, client: Client, first: AccessRequest): Promise<AccessRequest> {
  const { io, printer } = desk;
  const began = io.now();
  let request = first;
  const repaint = (): void => {
    const line = `${durationWords((io.now() - began) / 1000).padEnd(6)}  ${standing(request, io.now())}`;
    printer.live(cutToWidth(line, columnsOf(io.stderr) - 1));
  };
  const clock = setInterval(repaint, 1000);
  try {
    if (io.stderr.isTTY === true && !printer.json) printer.note(`waiting for ${request.id}; Ctrl-C leaves it as it is`);
    tell();
    while (request.state === 'pending') {
      repaint();
      const asked = io.now();
      const latest = await client.request(request.id, pollSeconds);
      const changed = JSON.stringify(latest) !== JSON.stringify(request);
      request = latest;
      if (changed) tell();
      // A broker that does not wait, or a proxy that cuts waiting short, is asked once a second and no more.
      else if (io.now() - asked < 1000) await sleep(1000, undefined, { signal: io.signal });
    }
    return request;
  } catch (thrown) {
    if (!io.signal.aborted) throw thrown;
    throw new Failure('failed', `stopped waiting; the request \`${request.id}\` stays as it is`, {
      hint: `follow it with \`latchkey requests ${request.id} --watch\`, take it back with \`latchkey cancel ${request.id}\``,
    });
  } finally {
    clearInterval(clock);
    printer.live('');
  }

  function tell(): void {
    printer.document(request);
    if (io.stderr.isTTY !== true && !printer.json) printer.note(`${request.id} ${standing(request, io.now())}`);
  }
}

/** The exit code of having waited: 0 when granted, 3 when someone said no, 1 when it came to nothing. */
export function codeOfDecision(request: AccessRequest): number {
  if (request.state === 'granted') return exitCodes.done;
  return request.state === 'denied' ? exitCodes.refused : exitCodes.failed;
}
