import { connect, type Socket } from 'node:net';

export interface Reply {
  readonly status: number;
  // Whatever the API answers: whoever asked knows what it is.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

/**
 * One kept connection, one call at a time, and nothing more of HTTP than the broker's answers need: what the load
 * costs is taken from the two cores that the broker is measured on.
 */
export interface Connection {
  call(method: string, path: string, headers: Readonly<Record<string, string>>, body?: object): Promise<Reply>;
  close(): void;
}

export function openConnection(url: string): Promise<Connection> {
  const { hostname, port } = new URL(url);
  const host = `${hostname}:${port}`;
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true }, () => {
      socket.off('error', reject);
      resolve(connectionOver(socket, host));
    });
    socket.once('error', reject);
  });
}

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

function connectionOver(socket: Socket, host: string): Connection {
  let waiting: Waiting | null = null;
  let received: Buffer = Buffer.alloc(0);
  const fail = (error: Error): void => {
    waiting?.reject(error);
    waiting = null;
  };
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the broker closed the connection')));
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const reply = readReply(received);
    if (!reply) return;
    received = Buffer.alloc(0);
    const done = waiting;
    waiting = null;
    done?.resolve(reply);
  });
  return {
    call(method, path, headers, body) {
      const text = body === undefined ? '' : JSON.stringify(body);
      const lines = [`${method} ${path} HTTP/1.1`, `host: ${host}`];
      for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
      if (body !== undefined)
        lines.push('content-type: application/json', `content-length: ${Buffer.byteLength(text)}`);
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        socket.write(`${lines.join('\r\n')}\r\n\r\n${text}`);
      });
    },
    close: () => void socket.destroy(),
  };
}

/** The answer, once it is whole; its length is always given. */
function readReply(bytes: Buffer): Reply | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end);
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  const body = bytes.subarray(end + 4);
  if (body.length < length) return null;
  return { status: Number(head.slice(9, 12)), body: length > 0 ? JSON.parse(body.toString('utf8')) : null };
}
