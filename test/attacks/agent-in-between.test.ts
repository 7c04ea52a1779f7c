import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { makeCertificate } from '../../src/agent/program/certificate.ts';
import {
  removeAgentDirectories,
  signedIn,
  spawnLatchkey,
  startAgentProcess,
  type AgentProcess,
} from '../support/agent-process.ts';
import { freePort, newTestBroker, people, type TestBroker } from '../support/broker.ts';

let broker: TestBroker;
let [meant, other]: AgentProcess[] = [];
let port: number;
let ada: Record<string, string>;
let between: Server | null = null;
const heard: string[] = [];

const inspect = { description: 'x', dataClass: 'System Metadata', command: ['latchkey:inspect'], timeLimit: 'PT1M' };

before(async () => {
  broker = await newTestBroker();
  port = await freePort();
  // Clients are told an address at which somebody else can stand: what passes there reaches the agent only by them.
  const door = { host: '127.0.0.1', port: 0, url: `https://127.0.0.1:${port}` };
  meant = await startAgentProcess(broker, { actions: { 'device.inspect': inspect }, door });
  other = await startAgentProcess(broker, { actions: { 'device.inspect': inspect } });
  ada = await signedIn(broker, people.ada);
  await broker.grant('ada', 'diagnose', { devices: [meant.device] });
});
afterEach(async () => {
  between?.close();
  between = null;
  heard.length = 0;
});
after(async () => {
  await Promise.all([meant!.stop(), other!.stop()]);
  await broker.stop();
  await removeAgentDirectories();
});

async function standBetween(server: Server): Promise<void> {
  between = server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

/** Passes everything on to a door, byte by byte. */
const passOnTo = (target: number): Server =>
  createTcpServer((socket) => {
    const onward = connect(target, '127.0.0.1');
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => [socket, onward].forEach((each) => each.destroy()));
  });

const run = () => spawnLatchkey(['run', meant!.device, 'device.inspect'], ada).ended;
const portOf = async (agent: AgentProcess): Promise<number> => {
  return (JSON.parse(await readFile(`${agent.stateDirectory}/door.json`, 'utf8')) as { port: number }).port;
};

test('who only passes on what they cannot read changes nothing', async () => {
  await standBetween(passOnTo(await portOf(meant!)));
  assert.equal((await run()).code, 0);
});

test('who shows a certificate of their own hears nothing', async () => {
  const now = Date.now();
  const { key, certificate } = makeCertificate({
    hosts: ['127.0.0.1'],
    notBefore: new Date(now - 1_000),
    notAfter: new Date(now + 3_600_000),
  });
  await standBetween(createHttpsServer({ key, cert: certificate }, (request) => heard.push(String(request.url))));
  const { code, stdout, stderr } = await run();
  assert.deepEqual([code, stdout, heard], [125, '', []]);
  assert.match(stderr, /shows another certificate than the one the broker lists\n {2}nothing was sent/);
});

test('who leads to the door of another device leads nowhere', async () => {
  await standBetween(passOnTo(await portOf(other!)));
  const { code, stderr } = await run();
  assert.equal(code, 125);
  assert.match(stderr, /shows another certificate/);
  assert.deepEqual(await broker.events('session.refused'), []);
});

test('who answers in the clear, and asks to be spoken to in the clear, is not spoken to', async () => {
  await standBetween(
    createHttpServer((request, response) => {
      heard.push(String(request.headers.authorization));
      response.writeHead(308, { location: `http://127.0.0.1:${port}/sessions` }).end();
    }),
  );
  const { code, stdout } = await run();
  assert.deepEqual([code, stdout, heard], [125, '', []]);
});

test('who says nothing at all is given up on', async () => {
  await standBetween(createTcpServer((socket) => void socket.end()));
  assert.equal((await run()).code, 125);
});
