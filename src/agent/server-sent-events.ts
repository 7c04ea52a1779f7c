/** One event of a stream, as the WHATWG standard defines it; comments and unknown fields are left out. */
export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

export class EventStreamError extends Error {
  override readonly name = 'EventStreamError';
}

/**
 * Reads server-sent events from a body as they come.
 * @param maxLength the longest line or event that is kept, in characters.
 * @param onRetry told of each reconnection time that the server names, in milliseconds.
 * @throws EventStreamError when a line or an event is longer.
 */
export async function* readServerSentEvents(
  body: AsyncIterable<Uint8Array>,
  maxLength: number,
  onRetry: (milliseconds: number) => void = () => undefined,
): AsyncGenerator<ServerSentEvent> {
  let event = '';
  let data: string[] = [];
  let length = 0;
  for await (const line of readLines(body, maxLength)) {
    if (line === '') {
      if (data.length > 0) yield { event: event || 'message', data: data.join('\n') };
      [event, data, length] = ['', [], 0];
      continue;
    }
    const { field, value } = readField(line);
    if (field === 'event') event = value;
    if (field === 'data') data.push(value);
    if (field === 'retry' && /^\d{1,9}$/.test(value)) onRetry(Number(value));
    length += value.length;
    if (length > maxLength) throw new EventStreamError('an event of the stream is too long');
  }
}

function readField(line: string): { readonly field: string; readonly value: string } {
  const colon = line.indexOf(':');
  if (colon < 0) return { field: line, value: '' };
  return { field: line.slice(0, colon), value: line.slice(colon + 1).replace(/^ /, '') };
}

async function* readLines(body: AsyncIterable<Uint8Array>, maxLength: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    if (rest.length > maxLength) throw new EventStreamError('a line of the stream is too long');
    for (const line of lines) yield line.replace(/\r$/, '');
  }
}
