import assert from 'node:assert/strict';
import { decodeJwt } from 'jose';
import type { TestDevice } from './device.ts';

/** A device's stream of live grants, read as text: nothing in it is believed. */
export interface LiveStream {
  /** The next statement. @throws when the stream is over. */
  next(): Promise<string>;
  /** Reads on until one satisfies; when that was. */
  until(wanted: (statement: string) => Promise<boolean> | boolean): Promise<number>;
  /** Everything after the last statement, once the stream is over. */
  rest(): Promise<string>;
  close(): void;
}

export async function openLiveStream(device: TestDevice, url: string): Promise<LiveStream> {
  const { status, body } = await device.signIn();
  assert.equal(status, 200, JSON.stringify(body));
  const stop = new AbortController();
  const response = await fetch(`${url}/v1/agent/stream`, {
    headers: { authorization: `Bearer ${body['access_token']}` },
    signal: stop.signal,
  });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type')!, /^text\/event-stream/);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let buffered = '';
  const more = async (): Promise<boolean> => {
    const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
    buffered += value ?? '';
    return !done;
  };
  const next = async (): Promise<string> => {
    for (;;) {
      const match = /^event: live-grants\ndata: (\S+)\n\n/.exec(buffered);
      if (match) {
        buffered = buffered.slice(match[0].length);
        return match[1]!;
      }
      if (!(await more())) throw new Error('the stream is over');
    }
  };
  return {
    next,
    async until(wanted) {
      while (!(await wanted(await next()))) continue;
      return performance.now();
    },
    async rest() {
      while (await more()) continue;
      return buffered;
    },
    close: () => stop.abort(),
  };
}

/** The ids of the grants that a statement lists. */
export function listedIn(statement: string): string[] {
  return (decodeJwt(statement)['grants'] as { id: string }[]).map(({ id }) => id);
}
