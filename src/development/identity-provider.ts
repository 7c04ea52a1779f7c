import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider, type ProviderContext } from 'oidc-provider';
import type { IdentityProviderConfig } from '../http/identity/types.ts';
import { audience, providerConfiguration } from './identity-provider/configuration.ts';
import { loadKeys } from './identity-provider/keys.ts';
import { noticePage } from './identity-provider/pages.ts';
import { samplePeople, type SamplePerson } from './identity-provider/people.ts';
import { answerSignIn, protect, sendPage } from './identity-provider/sign-in.ts';
import { tokenFor } from './identity-provider/token-for.ts';

export { samplePeople, type SamplePerson };

export interface IdentityProviderOptions {
  /** 0 takes a free port. Tokens name the issuer and with it the port: keep it from start to start. */
  readonly port: number;
  /** Where the provider's keys are kept, mode 0600. */
  readonly stateDirectory: string;
  readonly people?: readonly SamplePerson[];
}

export interface RunningIdentityProvider {
  readonly issuer: string;
  readonly port: number;
  /** Ends every connection and stops listening. */
  stop(): Promise<void>;
  /** Signs a sample person in over http, through the device flow and its pages, and returns the access token. */
  tokenFor(username: string): Promise<string>;
}

/**
 * Starts a real OpenID provider on loopback whose people need no password: device flow (RFC 8628) and authorization
 * code with PKCE for the public client `latchkey-cli`, access tokens as RFC 9068 asks. For development only; the
 * broker believes it no more than its configuration says.
 * @throws the listen error when the port is taken.
 */
export async function startIdentityProvider({
  port,
  stateDirectory,
  people = samplePeople,
}: IdentityProviderOptions): Promise<RunningIdentityProvider> {
  const keys = await loadKeys(stateDirectory);
  const server = createServer();
  await listen(server, port);
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = `http://${host}`;
  const provider = new Provider(issuer, providerConfiguration(people, keys));
  const answer = provider.use(sayNothingHere).callback();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    protect(response);
    // Without passwords, a site that makes its own name lead to 127.0.0.1 could sign anyone in.
    if (request.headers.host !== host) {
      return sendPage(response, 421, noticePage('Wrong address', `This is ${issuer} and nothing else.`));
    }
    return request.url?.startsWith('/interaction/')
      ? answerSignIn(provider, people, request, response)
      : answer(request, response);
  }

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response).catch(() => response.destroy());
  });

  return {
    issuer,
    port: Number(new URL(issuer).port),
    tokenFor: (username) => tokenFor(issuer, username),
    async stop() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** The broker's configuration for the development provider: every team and employer of the sample people is believed. */
export function developmentProviderConfig(
  issuer: string,
  people: readonly SamplePerson[] = samplePeople,
): IdentityProviderConfig {
  return {
    issuer,
    audience,
    claims: {
      subject: 'oid',
      name: 'name',
      email: 'preferred_username',
      teams: 'groups',
      region: 'region',
      employer: 'employer',
      trainingValidUntil: 'training_valid_until',
    },
    allowedTeams: [...new Set(people.flatMap(({ teams }) => teams))],
    allowedEmployers: [...new Set(people.map(({ employer }) => employer))],
    clients: ['latchkey-cli'],
  };
}

async function sayNothingHere(context: ProviderContext, next: () => Promise<void>): Promise<void> {
  await next();
  if (context.status !== 404 || context.body) return;
  context.type = 'html';
  context.body = noticePage('Nothing here', 'This is where people sign in to a Latchkey under development.');
  context.status = 404;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((listening, failed) => {
    server.once('error', failed).listen(port, '127.0.0.1', () => {
      server.off('error', failed);
      listening();
    });
  });
}
