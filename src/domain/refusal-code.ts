/**
 * Every reason for which a door stays shut (contract §8), in the order in which they are looked at: the first that
 * applies is the one that is said. The first nine say that the caller is not known to be who they claim (401), the
 * others that they may not do what they ask (403).
 */
export const refusalStatus = {
  'no-credential': 401,
  'bad-signature': 401,
  'wrong-type': 401,
  'wrong-issuer': 401,
  'wrong-device': 401,
  expired: 401,
  'not-yet-valid': 401,
  'bad-proof': 401,
  'replayed-proof': 401,
  'no-receipt': 403,
  'bad-receipt': 403,
  'stale-live-grants': 403,
  'grant-not-live': 403,
  'scope-missing': 403,
  'room-in-use': 403,
} as const satisfies Record<string, 401 | 403>;

export type RefusalCode = keyof typeof refusalStatus;

export const refusalCodes = Object.keys(refusalStatus) as readonly RefusalCode[];

export function isRefusalCode(text: string): text is RefusalCode {
  return Object.hasOwn(refusalStatus, text);
}
