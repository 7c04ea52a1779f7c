import type { ErrorCode, InputMistake, LatchkeyError, Reason } from '../domain/errors.ts';

/** The one place that makes HTTP of an error code. */
export const statusOf = {
  'invalid-request': 400,
  'invalid-dpop-proof': 400,
  unauthenticated: 401,
  'not-permitted': 403,
  'not-found': 404,
  'method-not-allowed': 405,
  'request-timeout': 408,
  conflict: 409,
  'too-large': 413,
  'unsupported-media-type': 415,
  'too-many-requests': 429,
  internal: 500,
  unavailable: 503,
} satisfies Record<ErrorCode, number>;

const titles = {
  'invalid-request': 'The request is not valid',
  'invalid-dpop-proof': 'The DPoP proof is not valid',
  unauthenticated: 'Not signed in',
  'not-permitted': 'Not permitted',
  'not-found': 'Not found',
  'method-not-allowed': 'Method not allowed',
  'request-timeout': 'The request took too long to arrive',
  conflict: 'Conflict',
  'too-large': 'The request is too large',
  'unsupported-media-type': 'Unsupported media type',
  'too-many-requests': 'Too many requests',
  internal: 'Internal error',
  unavailable: 'Not available now',
} satisfies Record<ErrorCode, string>;

/** A problem document (RFC 9457 §3.1). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly InputMistake[];
  readonly reasons?: readonly Reason[];
}

/** Makes the problem document of an error. */
export function problemOf(error: LatchkeyError): Problem {
  const { code, detail, errors, reasons } = error;
  return {
    type: `urn:latchkey:problem:${code}`,
    title: titles[code],
    status: statusOf[code],
    detail,
    ...(errors && { errors }),
    ...(reasons && { reasons }),
  };
}

/** The error of a token endpoint (RFC 6749 §5.2). */
export function oauthErrorOf(error: LatchkeyError): { readonly error: string; readonly error_description: string } {
  const codes: Partial<Record<ErrorCode, string>> = {
    unauthenticated: 'invalid_client',
    internal: 'server_error',
    unavailable: 'temporarily_unavailable',
    'too-many-requests': 'temporarily_unavailable',
  };
  // Only these characters may stand in a description.
  const description = error.detail.replaceAll(/[^\x20-\x21\x23-\x5B\x5D-\x7E]/g, "'");
  return { error: codes[error.code] ?? 'invalid_request', error_description: description };
}
