import type { Response } from 'express';
import type { Subscriber } from '../broker/live-lists.ts';

/**
 * How much may wait in this process for a reader that does not keep up, in bytes: a few statements. By then the
 * system's own buffers are full, which are many more.
 */
const mostWaiting = 16_384;

/**
 * Opens a stream of server-sent events. A reader that does not keep up is dropped; it will come back. One that is
 * sent away is told by `retry:` how soon.
 */
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
    drop(comeBackWithin) {
      if (response.writableLength > 0) response.destroy();
      else response.end(comeBackWithin === undefined ? undefined : `retry: ${comeBackWithin}\n\n`);
    },
  });
  response.on('close', unsubscribe);
  response.on('error', unsubscribe);
}
