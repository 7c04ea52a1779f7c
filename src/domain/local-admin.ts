/** The one secret of a device that there is: the password of its local administrator. */
export const localAdmin = 'local-admin';

/** What a grant has to allow for it to be released. */
export const localAdminScope = `secret.read:${localAdmin}`;

/** No look-alikes, and nothing that a shell, a file of accounts or a keyboard of another country would turn into something else. */
export const passwordAlphabet = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
/** Drawn from that alphabet: more than 139 bits, so that not even a salted hash of it says anything. */
export const passwordLength = 24;

const ofAlphabet = new RegExp(`^[${passwordAlphabet}]{${passwordLength}}$`);

/** True for a password as the broker makes them: with letters of both kinds and a digit, as accounts demand. */
export function isPassword(text: string): boolean {
  return ofAlphabet.test(text) && /[a-z]/.test(text) && /[A-Z]/.test(text) && /[0-9]/.test(text);
}

/** The type of the statement that brings a device its new password, and of the JWE around it. */
export const localSecretTypes = { jwt: 'local-secret+jwt', jwe: 'latchkey-local-secret+jwe' } as const;
