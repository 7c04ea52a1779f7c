import type { Request, Response } from 'express';
import { LatchkeyError } from '../domain/errors.ts';
import { hasBody } from './body.ts';
import type { HttpContext } from './context.ts';
import { oauthErrorOf, problemOf, statusOf } from './problems.ts';

/** Answers with what went wrong, as the caller may know it. What is our own fault is told to the log instead. */
export function answerProblem(context: HttpContext, error: unknown, request: Request, response: Response): void {
  const known = asKnown(error);
  response.locals.error = known;
  if (known.code === 'internal') {
    context.log.error(
      { requestId: response.locals.requestId as string, error: describe(error) },
      'a call failed by our own fault',
    );
  }
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const status = statusOf[known.code];
  const oauth = request.path.startsWith('/oauth2/');
  if (known.code === 'unauthenticated' && !oauth) response.set('WWW-Authenticate', 'Bearer error="invalid_token"');
  const retryAfter = known.retryAfter ?? (status === 503 ? 1 : undefined);
  if (retryAfter !== undefined) response.set('Retry-After', String(retryAfter));
  // What was not read of a body would be taken for the next call.
  if (hasBody(request) && !request.complete) response.set('Connection', 'close');
  response.status(status).set('Cache-Control', 'no-store');
  if (oauth) response.json(oauthErrorOf(known));
  else response.type('application/problem+json').send(JSON.stringify(problemOf(known)));
}

/** What is no failure of ours to foresee is a bug: its detail is for the log. Express's own refusals are the caller's. */
function asKnown(error: unknown): LatchkeyError {
  if (error instanceof LatchkeyError) return error;
  const status = (error as { status?: unknown } | null)?.status;
  if (status === 400) return new LatchkeyError('invalid-request', 'the address is not well formed');
  return new LatchkeyError('internal', 'something went wrong on our side; the request id helps to find out what');
}

function describe(error: unknown): object {
  if (!(error instanceof Error)) return { value: typeof error };
  const { name, message, stack } = error;
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  return { name, message, code, constraint, stack };
}
