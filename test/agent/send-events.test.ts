import { afterEach, it } from 'node:test';
import { openOutbox } from '../../src/agent/outbox.ts';
import { createEventSender } from '../../src/agent/send-events.ts';
import { newId } from '../../src/domain/ids.ts';
import { eventually } from './program/support.ts';

const outbox = openOutbox(null);
const told: string[] = [];
const sender = createEventSender({
  from: outbox,
  post: async (events) => void told.push(...events.map(({ id }) => id)),
  log: () => undefined,
});
afterEach(async () => {
  await sender.stop(0);
  outbox.close();
});

it('a sender misses nothing that comes in the very step in which it finds nothing more', async () => {
  sender.poke();
  for (let n = 0; n < 200; n++) {
    const id = newId('event', 0);
    outbox.write([{ tell: { id, type: 'session.ended', statement: id } }]);
    sender.poke();
    // Each time some steps later, so that one of them is the step in question.
    for (let step = 0; step < n % 20; step++) await Promise.resolve();
    if (n % 20 === 19) await eventually(() => told.length === n + 1, 2_000);
  }
  await eventually(() => told.length === 200, 2_000);
});
