import type { Request, Response } from 'express';
import { LatchkeyError } from '../domain/errors.ts';
import type { HttpContext } from './context.ts';

/** Logs one line for a call once it has been answered, or its caller is gone. */
export function logWhenDone(context: HttpContext, request: Request, response: Response): void {
  const started = performance.now();
  response.once('close', () => {
    const { requestId, route, who, error } = response.locals as Record<string, unknown>;
    const known = error instanceof LatchkeyError ? error : null;
    const call = {
      method: request.method,
      route: typeof route === 'string' ? route : null,
      status: response.statusCode,
      ms: Math.round((performance.now() - started) * 10) / 10,
    };
    context.answered(call);
    context.log.info(
      {
        requestId,
        ...call,
        ...(who !== undefined && { who }),
        ...(known && { code: known.code, detail: loggable(known), cause: causeOf(known) }),
      },
      'call',
    );
  });
}

/** What is said of a malformed call quotes it, and so may hold anything: it is for the caller alone. */
function loggable(error: LatchkeyError): string | undefined {
  return error.code === 'invalid-request' ? undefined : error.detail;
}

function causeOf(error: LatchkeyError): string | undefined {
  return error.cause instanceof Error ? error.cause.message : undefined;
}
