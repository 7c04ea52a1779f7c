import { interactionPolicy, type ProviderContext } from 'oidc-provider';
import type { ProviderKeys } from './keys.ts';
import { createMemory } from './memory.ts';
import { codePage, confirmPage, noticePage, signOutPage } from './pages.ts';
import { claimsOf, type SamplePerson } from './people.ts';

/** The audience of every access token, and the client that asks for them: public, so without a secret. */
export const audience = 'latchkey';
export const clientId = 'latchkey-cli';

/** Resource indicators are URIs (RFC 8707); this one stands for the broker's API and need not be sent. */
const resource = 'urn:latchkey:api';
const resourceScope = 'latchkey';
const oidcScopes = 'openid profile email offline_access';
const hour = 3_600;

/**
 * How oidc-provider is set up. Every default that it would remark on standard output is set here.
 * @param people who can sign in.
 */
export function providerConfiguration(people: readonly SamplePerson[], { keys, cookieKeys }: ProviderKeys): object {
  const personOf = (id: string | undefined) => people.find((person) => person.id === id);
  return {
    adapter: createMemory(),
    jwks: { keys },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clients: [client],
    clientBasedCORS: () => false,
    cookies: { keys: cookieKeys, names: cookieNames, long: { sameSite: 'lax' }, short: { sameSite: 'lax' } },
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'] },
    scopes: oidcScopes.split(' '),
    findAccount: (_: ProviderContext, id: string) => account(personOf(id)),
    loadExistingGrant,
    extraTokenClaims: (_: ProviderContext, token: { accountId?: string }) => {
      const person = personOf(token.accountId);
      return person && claimsOf(person, Date.now());
    },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    expiresWithSession: () => false,
    interactions: { policy: policy(), url: (_: ProviderContext, { uid }: { uid: string }) => `/interaction/${uid}` },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: true,
        mask: '****-****',
        userCodeInputSource,
        userCodeConfirmSource,
        successSource: (context: ProviderContext) => {
          context.body = successPage(personOf(context.oidc.account?.accountId));
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        getResourceServerInfo,
        useGrantedResource: () => true,
      },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
      revocation: { enabled: true },
    },
    renderError,
    ttl: { ...ttl },
  };
}

const client = {
  client_id: clientId,
  client_name: 'The latchkey command',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  response_types: ['code'],
  // RFC 8252 §7.3: a native client may listen on any port of loopback.
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback'],
  id_token_signed_response_alg: 'ES256',
};

/** Cookies know no ports: these must not be taken for those of anything else on loopback. */
const cookieNames = {
  session: 'latchkey_idp_session',
  interaction: 'latchkey_idp_interaction',
  resume: 'latchkey_idp_resume',
};

const ttl = {
  AccessToken: hour,
  AuthorizationCode: 60,
  DeviceCode: 600,
  Grant: 12 * hour,
  IdToken: hour,
  Interaction: 600,
  RefreshToken: 12 * hour,
  Session: 12 * hour,
};

function getResourceServerInfo(): object {
  return {
    scope: resourceScope,
    audience,
    accessTokenTTL: hour,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'ES256' } },
  };
}

/** Who signs in is asked every time, since that is what developers change; consent never, there being one client. */
function policy(): ReturnType<typeof interactionPolicy.base> {
  const prompts = interactionPolicy.base();
  prompts.remove('consent');
  const { Check } = interactionPolicy;
  const ask = new Check('who_is_it', 'the person is chosen anew at every sign-in', ({ oidc }) =>
    oidc.result?.login ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT,
  );
  prompts.get('login').checks.add(ask);
  return prompts;
}

async function loadExistingGrant({ oidc }: ProviderContext): Promise<object | undefined> {
  const accountId = oidc.session?.accountId;
  if (!oidc.client || accountId === undefined) return undefined;
  const grant = new oidc.provider.Grant({ accountId, clientId: oidc.client.clientId });
  grant.addOIDCScope(oidcScopes);
  grant.addResourceScope(resource, resourceScope);
  await grant.save();
  return grant;
}

function account(person: SamplePerson | undefined): object | undefined {
  if (!person) return undefined;
  const claims = { sub: person.id, name: person.name, preferred_username: person.email, email: person.email };
  return { accountId: person.id, claims: () => claims };
}

interface CodeProblem {
  readonly name?: string;
  readonly userCode?: string;
}

function userCodeInputSource(context: ProviderContext, form: string, _out: unknown, problem?: CodeProblem): void {
  context.body = codePage('/device', xsrfIn(form), problem ? sayProblem(problem) : null);
}

function sayProblem({ name, userCode }: CodeProblem): string {
  if (name === 'AbortedError') return 'Cancelled. Nobody was signed in.';
  if (userCode === undefined) return 'Type in the code that your terminal shows.';
  return `Nothing waits for ${userCode}: it is mistyped, used already, or older than ten minutes. Start again in your terminal for a new one.`;
}

function userCodeConfirmSource(
  context: ProviderContext,
  form: string,
  client: { clientName?: string; clientId: string },
  _device: unknown,
  userCode: string,
): void {
  context.body = confirmPage('/device', xsrfIn(form), userCode, client.clientName ?? client.clientId);
}

function successPage(person: SamplePerson | undefined): string {
  const title = person ? `You are signed in as ${person.name}` : 'You are signed in';
  return noticePage(title, 'Go back to your terminal. This page can be closed.');
}

function logoutSource(context: ProviderContext, form: string): void {
  context.body = signOutPage('/session/end/confirm', xsrfIn(form));
}

function postLogoutSuccessSource(context: ProviderContext): void {
  context.body = noticePage('You are signed out', 'This page can be closed.');
}

/** The provider offers the field only inside a form of its own. */
function xsrfIn(form: string): string {
  return /name="xsrf" value="([0-9a-f]+)"/.exec(form)?.[1] ?? '';
}

function renderError(context: ProviderContext, out: { error: string; error_description?: string }): void {
  context.type = 'html';
  const what = out.error_description ?? out.error;
  context.body = noticePage('That did not work', `The request was refused: ${what}. Start again from where you came.`);
}
