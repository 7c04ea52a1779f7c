import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Provider } from 'oidc-provider';
import { noticePage, peoplePage } from './pages.ts';
import type { SamplePerson } from './people.ts';
import { contentSecurityPolicy } from './style.ts';

const maxBody = 4_096;

/**
 * Answers the page on which a person is picked. A sign-in is known by a cookie of its own that is good for its path
 * alone, so that no other site can pick for someone.
 */
export async function answerSignIn(
  provider: Provider,
  people: readonly SamplePerson[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const interaction = await provider.interactionDetails(request, response).catch(() => null);
  if (!interaction || interaction.prompt.name !== 'login') {
    return sendPage(response, 400, noticePage('This sign-in is over', 'Start again from where you came.'));
  }
  if (request.method === 'GET') return sendPage(response, 200, peoplePage(people, 'The latchkey command'));
  if (request.method !== 'POST')
    return sendPage(response, 405, noticePage('That did not work', 'Go back and try again.'));
  const username = new URLSearchParams(await readBody(request)).get('person');
  const person = people.find((known) => known.username === username);
  if (!person) return sendPage(response, 400, noticePage('Nobody by that name', 'Go back and pick someone else.'));
  const result = { login: { accountId: person.id, remember: false } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

export function sendPage(response: ServerResponse, status: number, page: string): void {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(page);
}

/** Headers of every answer; the provider's own pages add the hash of the script that they need. */
export function protect(response: ServerResponse): void {
  response.setHeader('content-security-policy', contentSecurityPolicy);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'same-origin');
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
    body += chunk;
    if (body.length > maxBody) throw new Error('the form is too large');
  }
  return body;
}
