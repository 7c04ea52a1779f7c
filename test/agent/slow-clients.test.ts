import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startAgent, type Agent } from '../../src/agent/index.ts';
import { newEngineer } from './support/engineer.ts';
import { makeProof } from './support/signing-key.ts';
import { startTestBroker, type TestBroker } from './support/test-broker.ts';

describe('a client that is too slow', { concurrency: true }, () => {
  let broker: TestBroker;
  let agent: Agent;
  let directory: string;
  before(async () => {
    broker = await startTestBroker();
    directory = await mkdtemp(join(tmpdir(), 'latchkey-agent-'));
    agent = await startAgent({
      brokerUrl: broker.url,
      stateDirectory: directory,
      enrolmentCode: broker.code,
      actions: new Map([['device.inspect', async () => 0]]),
      facts: () => ({}),
      inUse: () => false,
    });
  });
  after(async () => {
    await agent.stop();
    await broker.close();
    await rm(directory, { recursive: true });
  });

  /** Sends the head of a call and no more; resolves with what came back when the agent hangs up, and after how long. */
  function sendOnly(head: string): Promise<{ readonly answer: string; readonly after: number }> {
    const began = Date.now();
    const { hostname, port } = new URL(agent.doorUrl);
    return new Promise((resolve) => {
      let answer = '';
      const socket = connect(Number(port), hostname, () => socket.write(head));
      socket.on('data', (chunk) => (answer += String(chunk)));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve({ answer, after: Date.now() - began }));
    });
  }

  it('with its headers is cut off after three seconds', async () => {
    const { answer, after } = await sendOnly('POST /sessions HTTP/1.1\r\nhost: door\r\n');
    assert.match(answer, /^HTTP\/1\.1 408 /);
    assert.ok(after > 2_000 && after < 7_000, `${after} ms`);
  });

  it('with its body is cut off after five, even with a good credential', async () => {
    const engineer = await newEngineer(broker, ['device.inspect']);
    await broker.push([engineer.listed()]);
    const credential = await engineer.credential();
    const path = `${await engineer.openSoon(agent.doorUrl, credential)}/actions/device.inspect`;
    const url = `${agent.doorUrl}${path}`;
    const dpop = await makeProof(engineer.key, { method: 'POST', url, credential, now: Date.now() });
    const signed = `authorization: DPoP ${credential}\r\ndpop: ${dpop}\r\n`;
    const typed = 'content-type: application/json\r\ncontent-length: 100\r\n';
    const { answer, after } = await sendOnly(`POST ${path} HTTP/1.1\r\nhost: door\r\n${signed}${typed}\r\n{"args":`);
    assert.ok(!answer.startsWith('HTTP/1.1 200'), answer);
    assert.ok(after > 4_000 && after < 10_000, `${after} ms`);
  });

  it('is not the one who does nothing but wait for an answer', async () => {
    const { answer } = await sendOnly('GET /nothing HTTP/1.1\r\nhost: door\r\nconnection: close\r\n\r\n');
    assert.match(answer, /^HTTP\/1\.1 404 /);
  });

  it('or one with headers as long as a letter, gets nowhere', async () => {
    const { answer } = await sendOnly(`POST /sessions HTTP/1.1\r\nhost: door\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 431 /);
  });
});
