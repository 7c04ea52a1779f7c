import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Something between a broker and its database that can break. */
export interface Proxy {
  /** The same database, by way of the proxy. */
  readonly url: string;
  /** How many connections were cut in the middle of a commit. */
  readonly cuts: number;
  /**
   * The next COMMIT that comes along with that prepared statement, or any, reaches the database; its answer does not
   * come back, and the connection is gone.
   */
  cutNextCommit(after?: string): void;
  /** While down, every connection is cut and none is made. */
  setDown(down: boolean): void;
  stop(): Promise<void>;
}

/** `COMMIT` as it is on the wire, the query and its completion: type, length, text, and the zero that ends it. */
const commit = Buffer.from('Q\0\0\0\x0bCOMMIT\0', 'latin1');
const committed = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1');

export async function startProxy(target: string): Promise<Proxy> {
  const to = new URL(target);
  const sockets = new Set<Socket>();
  let armed: string | null = null;
  let down = false;
  let cuts = 0;
  const server = createServer((client) => {
    if (down) {
      client.destroy();
      return;
    }
    const database = connect(Number(to.port), to.hostname);
    let cutting = false;
    const end = (): void => {
      client.destroy();
      database.destroy();
    };
    for (const socket of [client, database]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on('data', (data) => {
      if (armed !== null && data.includes(commit) && data.includes(armed)) {
        armed = null;
        cutting = true;
      }
      database.write(data);
    });
    database.on('data', (data) => {
      // Nobody hears of it.
      if (cutting && data.includes(committed)) {
        cuts++;
        return end();
      }
      client.write(data);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    get cuts() {
      return cuts;
    },
    cutNextCommit: (after = '') => void (armed = after),
    setDown(value) {
      down = value;
      if (down) for (const socket of sockets) socket.destroy();
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
