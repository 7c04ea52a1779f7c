/**
 * The bytes behind base64url without padding (RFC 4648 §5) in the one form that an encoder gives them; null for anything
 * else. Node's own decoder takes many texts for the same bytes, and a proof that can be rewritten is two proofs.
 */
export function decodeBase64url(text: string): Buffer | null {
  const isOther = text.includes('+') || text.includes('/');
  return isOther ? null : decodeExactly(text, 'base64url', text.length);
}

/** The bytes behind standard base64 with padding (RFC 4648 §4) in the one form that an encoder gives them, or null. */
export function decodeBase64(text: string): Buffer | null {
  const { length } = text;
  if (length % 4 !== 0 || text.includes('-') || text.includes('_')) return null;
  const digits = text.endsWith('==') ? length - 2 : text.endsWith('=') ? length - 1 : length;
  return decodeExactly(text, 'base64', digits);
}

/**
 * Node leaves out what is no digit, so a text with anything strange in it gives fewer bytes than its digits stand for.
 * To encode the bytes again and compare would say the same, and takes twice as long.
 */
function decodeExactly(text: string, encoding: 'base64' | 'base64url', digits: number): Buffer | null {
  const bytes = Buffer.from(text, encoding);
  if (bytes.length !== Math.floor((digits * 3) / 4)) return null;
  const rest = digits % 4;
  if (rest === 0) return bytes;
  // The last digit has two or four bits more than the bytes have: an encoder leaves them zero.
  const spare = rest === 3 ? 0b11 : 0b1111;
  return rest === 1 || (valueOf(text.charCodeAt(digits - 1)) & spare) !== 0 ? null : bytes;
}

const values = new Uint8Array(128);
for (const [value, digit] of Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_').entries()) {
  values[digit.charCodeAt(0)] = value;
}
values['+'.charCodeAt(0)] = 62;
values['/'.charCodeAt(0)] = 63;

function valueOf(digit: number): number {
  return values[digit] ?? 0;
}
