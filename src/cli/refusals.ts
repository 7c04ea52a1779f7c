import type { RefusalCode } from '../agent/refusal.ts';

/** What a device's refusal means to the person at the command line, and what can be done (contract §8). */
const words: Readonly<Record<RefusalCode, readonly [sentence: string, hint: string | null]>> = {
  'no-credential': ['the device did not get a credential', null],
  'bad-signature': [
    'the device does not take the credential as this broker’s',
    'it may be enrolled with another broker',
  ],
  'wrong-type': ['the device was shown something that is not a credential', null],
  'wrong-issuer': ['the device belongs to another broker', 'check `LATCHKEY_URL`'],
  'wrong-device': ['the credential is for another device', null],
  expired: ['the credential has run out', 'try again; a fresh one is fetched by itself'],
  'not-yet-valid': ['the credential is not valid yet by the device’s clock', 'try again in a moment'],
  'bad-proof': ['the device does not take the proof of your key', 'check that this machine’s clock is right'],
  'replayed-proof': ['the device has seen this call before', 'try again'],
  'no-receipt': ['the credential came without the proof that it is in the ledger', null],
  'bad-receipt': ['the proof that the credential is in the ledger does not hold', 'tell those who run the broker'],
  'stale-live-grants': ['the device is cut off from the broker, so it opens to nobody', 'try again once it is back'],
  'grant-not-live': ['the grant is not in force on this device', 'see how it stands with `latchkey grants`'],
  'scope-missing': ['the grant does not allow this', 'see what it allows with `latchkey grants`'],
  'room-in-use': ['a meeting is on in the room, and this would disturb it', 'try again when the room is free'],
};

/** Why a session or an action ended before it was done, in words (the `ended` of contract §8). */
export function endWords(cause: string): string {
  const [sentence] = Object.hasOwn(words, cause) ? words[cause as RefusalCode] : [null];
  const others: Readonly<Record<string, string>> = {
    closed: 'the session was closed',
    'agent-stopped': 'the agent on the device was stopped',
    'agent-died': 'the agent on the device was killed, or the device lost power',
    unenrolled: 'the device was taken out',
    // Of an end, these say something else than of a refusal.
    'bad-signature': 'the broker has retired the key of the credential',
    'stale-live-grants': 'the device was cut off from the broker',
  };
  return (Object.hasOwn(others, cause) ? others[cause] : sentence) ?? cause;
}

/** The refusal in words; an unknown code speaks for itself. */
export function refusalWords(code: string): { readonly sentence: string; readonly hint: string | undefined } {
  const [sentence, hint] = Object.hasOwn(words, code) ? words[code as RefusalCode] : ['the device refuses', null];
  return { sentence: `${sentence} (${code})`, hint: hint ?? undefined };
}
