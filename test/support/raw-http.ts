import { connect, type Socket } from 'node:net';

/** An answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** By lower-case name; of a repeated one, the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a connection gave back until it was closed or had nothing more to say, in milliseconds since it was opened. */
export interface RawConversation {
  readonly answers: readonly RawAnswer[];
  readonly closedAfter: number | null;
}

/** Opens a connection that no library guards against saying what it should not. */
export function openRaw(url: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  return socket;
}

/** Says `text` as it is, and reads until the broker closes, or `wait` ms after the first whole answer. */
export function say(
  url: string,
  text: string | Buffer | readonly (string | Buffer)[],
  wait = 30,
): Promise<RawConversation> {
  const socket = openRaw(url);
  const started = performance.now();
  const parts = Array.isArray(text) ? (text as readonly (string | Buffer)[]) : [text as string | Buffer];
  let received = '';
  return new Promise((resolve) => {
    let enough: NodeJS.Timeout | undefined;
    const done = (closed: boolean): void => {
      clearTimeout(enough);
      socket.destroy();
      resolve({ answers: parse(received), closedAfter: closed ? performance.now() - started : null });
    };
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (parse(received).length === 0) return;
      clearTimeout(enough);
      enough = setTimeout(() => done(false), wait);
    });
    socket.on('close', () => done(true));
    for (const part of parts) socket.write(part);
  });
}

/** The text of a call, with `Host`, and `Content-Length` where there is a body. */
export function callText(
  method: string,
  path: string,
  headers: readonly (readonly [string, string])[] = [],
  body = '',
): string {
  const all = [
    ['Host', 'latchkey.test'],
    ...headers,
    ...(body ? [['Content-Length', String(Buffer.byteLength(body))]] : []),
  ];
  return `${method} ${path} HTTP/1.1\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}

function parse(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (rest.startsWith('HTTP/1.1 ')) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) break;
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const length = Number(headers['content-length'] ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    const status = Number(first.slice(9, 12));
    rest = rest.slice(end + 4 + length);
    if (status !== 100) answers.push({ status, headers, body });
  }
  return answers;
}
