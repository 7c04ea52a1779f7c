import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { readServerSentEvents } from '../../src/agent/server-sent-events.ts';

async function read(chunks: readonly Uint8Array[], maxLength = 1_000) {
  const events = [];
  for await (const event of readServerSentEvents(bodyOf(chunks), maxLength)) events.push(event);
  return events;
}

async function* bodyOf(chunks: readonly Uint8Array[]) {
  yield* chunks;
}

const text = [
  ': a comment, as sent to keep a connection alive',
  'event: live-grants',
  'data: first',
  'data:second',
  'id: 7',
  '',
  'data: ünï',
  '',
  'event: nothing to say',
  '',
  '',
].join('\r\n');
const expected = [
  { event: 'live-grants', data: 'first\nsecond' },
  { event: 'message', data: 'ünï' },
];

describe('server-sent events', () => {
  it('are read alike wherever the body is cut', async () => {
    const bytes = Buffer.from(text);
    assert.deepEqual(await read([bytes]), expected);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 8 }), async (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
        assert.deepEqual(await read(chunks), expected);
      }),
    );
  });

  it('are bounded, a line and an event', async () => {
    await assert.rejects(read([Buffer.from('x'.repeat(1_001))]), { name: 'EventStreamError' });
    const lines = Buffer.from('data: 0123456789\n'.repeat(101));
    await assert.rejects(read([lines]), { name: 'EventStreamError' });
  });

  it('that are not finished are no events', async () => {
    assert.deepEqual(await read([Buffer.from('data: half\n')]), []);
  });
});
