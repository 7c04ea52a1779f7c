import type { Response } from 'express';
import type { Subscriber } from '../broker/live-lists.ts';

/** How much may wait for a reader that does not keep up, in bytes: a few statements. */
const mostWaiting = 262_144;

/** Opens a stream of server-sent events. A reader that does not keep up is dropped; it will come back. */
export function openStream(response: Response, subscribe: (subscriber: Subscriber) => () => void): void {
  response.status(200).set({
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no',
  });
  response.flushHeaders();
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  response.socket?.setNoDelay(true);
  const unsubscribe = subscribe({
    send(statement) {
      if (response.writableLength > mostWaiting || response.destroyed) return false;
      response.write(`event: live-grants\ndata: ${statement}\n\n`);
      return true;
    },
    drop() {
      if (response.writableLength > 0) response.destroy();
      else response.end();
    },
  });
  response.on('close', unsubscribe);
  response.on('error', unsubscribe);
}
