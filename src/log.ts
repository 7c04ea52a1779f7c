import { pino, type DestinationStream } from 'pino';
import type { ServeLog } from './serve.ts';

/** Names under which a secret or personal data could ever reach the log: their values never do. */
const hidden = ['authorization', 'dpop', 'token', 'credential', 'proof', 'password', 'secret', 'email', 'name'];

/** One JSON object a line, with the time in RFC 3339. Lines may be lost, the ledger may not. */
export function createLog(destination: DestinationStream): ServeLog {
  return pino(
    {
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
      redact: {
        paths: hidden.flatMap((name) => [name, `*.${name}`]),
        censor: '[hidden]',
      },
    },
    destination,
  );
}
