import { randomInt } from 'node:crypto';
import { inspect } from 'node:util';
import { isPassword, passwordAlphabet, passwordLength } from '../domain/local-admin.ts';

/** A password that shows itself to nobody who only looks: not inspected, not as JSON, not within a text. */
export class Password {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Its text: for the vault, for a commitment, and for what is encrypted to whom it is meant for. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return '[password]';
  }

  toJSON(): string {
    return '[password]';
  }

  [inspect.custom](): string {
    return '[password]';
  }
}

/** A new password: from the system's random numbers, each letter equally likely, and such as accounts take. */
export function newPassword(): Password {
  for (;;) {
    const letters = Array.from({ length: passwordLength }, () => passwordAlphabet[randomInt(passwordAlphabet.length)]!);
    const text = letters.join('');
    if (isPassword(text)) return new Password(text);
  }
}
