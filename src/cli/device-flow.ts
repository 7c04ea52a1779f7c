import { setTimeout as sleep } from 'node:timers/promises';
import { readAddress, readEndpoint } from './addresses.ts';
import type { SignInProvider } from './answers.ts';
import { Failure } from './failure.ts';
import { interrupted, networkWords } from './transport.ts';

/** What the person is shown: where to go and what to type there (RFC 8628 §3.2). */
export interface DeviceCode {
  readonly userCode: string;
  readonly verificationUri: string;
  /** The address with the code already in it, where the provider offers one. */
  readonly verificationUriComplete: string | null;
  /** RFC 3339. */
  readonly expiresAt: string;
}

export interface Tokens {
  readonly accessToken: string;
  /** RFC 3339. */
  readonly expiresAt: string;
}

/** An identity provider that the command line is a client of. */
export type UsableProvider = SignInProvider & { readonly clientId: string };

export interface DeviceFlowOptions {
  readonly signal: AbortSignal;
  readonly now: () => number;
  /** Shows the code; called once, before the waiting begins. */
  readonly show: (code: DeviceCode) => void;
  /** Waits between two questions; the real clock unless a test brings its own. */
  readonly pause?: (milliseconds: number, signal: AbortSignal) => Promise<unknown>;
}

interface Metadata {
  readonly issuer?: string;
  readonly device_authorization_endpoint?: string;
  readonly token_endpoint?: string;
}

interface DeviceAnswer {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri: string;
  readonly verification_uri_complete?: string;
  readonly expires_in: number;
  readonly interval?: number;
}

interface TokenAnswer {
  readonly access_token?: string;
  readonly expires_in?: number;
  readonly error?: string;
  readonly error_description?: string;
}

const pauseByClock = (milliseconds: number, signal: AbortSignal) => sleep(milliseconds, undefined, { signal });
const timeoutSeconds = 20;
const usualLifetime = 3600;

/** Signs in at an identity provider by the device authorization grant (RFC 8628): any browser will do, also elsewhere. */
export async function signInByDevice(provider: UsableProvider, options: DeviceFlowOptions): Promise<Tokens> {
  const metadata = await discover(provider.issuer, options.signal);
  const asked = (await post(
    metadata.deviceEndpoint,
    deviceParameters(provider),
    options.signal,
  )) as Partial<DeviceAnswer> & TokenAnswer;
  const { device_code: deviceCode, user_code: userCode, verification_uri: verificationUri } = asked;
  if (!deviceCode || !userCode || !verificationUri) throw refusal(provider.issuer, asked);
  const deadline = options.now() + (asked.expires_in ?? 600) * 1000;
  options.show({
    userCode,
    verificationUri,
    verificationUriComplete: asked.verification_uri_complete ?? null,
    expiresAt: new Date(deadline).toISOString(),
  });
  const parameters = {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code: deviceCode,
    client_id: provider.clientId,
  };
  return waitForTokens(provider.issuer, metadata.tokenEndpoint, parameters, asked.interval ?? 5, deadline, options);
}

async function waitForTokens(
  issuer: string,
  endpoint: string,
  parameters: Readonly<Record<string, string>>,
  seconds: number,
  deadline: number,
  { signal, now, pause = pauseByClock }: DeviceFlowOptions,
): Promise<Tokens> {
  let interval = Math.max(1, seconds);
  while (now() < deadline) {
    await pause(interval * 1000, signal).catch(() => {
      throw interrupted();
    });
    const answer = await post(endpoint, parameters, signal).catch((failure: unknown): TokenAnswer => {
      if (signal.aborted || !(failure instanceof Failure)) throw failure;
      interval *= 2; // a time-out of the connection asks for less frequent polling (RFC 8628 §3.5)
      return { error: 'authorization_pending' };
    });
    if (answer.access_token) {
      const lifetime = (answer.expires_in ?? usualLifetime) * 1000;
      return { accessToken: answer.access_token, expiresAt: new Date(now() + lifetime).toISOString() };
    }
    if (answer.error === 'slow_down') interval += 5;
    else if (answer.error !== 'authorization_pending') throw refusal(issuer, answer);
  }
  throw refusal(issuer, { error: 'expired_token' });
}

function deviceParameters({ audience, clientId, scope }: UsableProvider): Record<string, string> {
  // `resource` (RFC 8707) must be an absolute URI; providers without it go by `audience`, or by what the client is for.
  const resource: Record<string, string> = URL.canParse(audience) ? { resource: audience } : {};
  return { client_id: clientId, scope: scope ?? 'openid', audience, ...resource };
}

async function discover(issuer: string, signal: AbortSignal) {
  const url = `${readAddress(issuer, 'the identity provider')}/.well-known/openid-configuration`;
  const metadata = (await send(url, { headers: { accept: 'application/json' } }, signal)) as Metadata;
  if (metadata.issuer !== issuer) {
    throw new Failure('failed', `\`${url}\` speaks for another identity provider, \`${String(metadata.issuer)}\``);
  }
  const { device_authorization_endpoint: device, token_endpoint: token } = metadata;
  if (!device || !token) {
    throw new Failure('failed', `\`${issuer}\` does not offer the device flow`, {
      hint: 'get an access token another way and set `LATCHKEY_TOKEN`',
    });
  }
  readEndpoint(device, 'the device endpoint');
  readEndpoint(token, 'the token endpoint');
  return { deviceEndpoint: device, tokenEndpoint: token };
}

function post(url: string, parameters: Readonly<Record<string, string>>, signal: AbortSignal): Promise<TokenAnswer> {
  const init = { method: 'POST', body: new URLSearchParams(parameters), headers: { accept: 'application/json' } };
  return send(url, init, signal) as Promise<TokenAnswer>;
}

async function send(url: string, init: RequestInit, signal: AbortSignal): Promise<unknown> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutSeconds * 1000)]);
    const response = await fetch(url, { ...init, redirect: 'error', signal: limit });
    return await response.json();
  } catch (cause) {
    if (signal.aborted) throw interrupted();
    const words = cause instanceof SyntaxError ? 'it does not answer in JSON' : networkWords(cause);
    throw new Failure('unreachable', `the identity provider at \`${new URL(url).origin}\` cannot be used: ${words}`, {
      cause,
    });
  }
}

function refusal(issuer: string, { error, error_description: description }: TokenAnswer): Failure {
  const again = { hint: 'start again with `latchkey login`' };
  if (error === 'access_denied') return new Failure('refused', 'the sign-in was declined in the browser', again);
  if (error === 'expired_token')
    return new Failure('failed', 'the code ran out before the sign-in was finished', again);
  const words = description ?? error ?? 'its answer makes no sense';
  return new Failure('failed', `\`${issuer}\` did not take the sign-in: ${words}`);
}
