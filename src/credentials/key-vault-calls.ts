import type { SecretClient, SecretClientOptions, SecretProperties } from '@azure/keyvault-secrets';
import { VaultUnavailable, type SecretVersion } from './vault.ts';

/** What the service said other than yes, without anything of what was sent or asked. */
export class KeyVaultAnswer extends Error {
  override readonly name = 'KeyVaultAnswer';
  readonly status: number;
  /** The innermost code of the documented error body, such as `SecretDisabled`. */
  readonly code: string;
  constructor(status: number, code: string) {
    super(`the vault answered ${status} (\`${code}\`)`);
    this.status = status;
    this.code = code;
  }
}

export interface StoredVersion extends SecretVersion {
  readonly value?: string;
}

/** One call of the service each. They throw KeyVaultAnswer, or VaultUnavailable, and nothing else. */
export interface KeyVaultCalls {
  /** @param version empty for the newest, whether that is enabled or not. */
  get(name: string, version: string): Promise<StoredVersion>;
  set(name: string, value: string, tags: Record<string, string>): Promise<StoredVersion>;
  update(name: string, version: string, change: { enabled?: boolean; tags?: Record<string, string> }): Promise<void>;
  /** All versions, in no order, and the service's time when it made the list. */
  list(name: string): Promise<{ readonly versions: StoredVersion[]; readonly at: Date }>;
  delete(name: string): Promise<void>;
  getDeleted(name: string): Promise<void>;
  purge(name: string): Promise<void>;
}

export interface KeyVaultTarget {
  readonly url: string;
  /** Only for a vault on loopback: shown in place of an Azure identity, over plain http. */
  readonly token?: string | undefined;
}

/** Milliseconds for one call with its retries; identities found by a command line take seconds the first time. */
const deadline = 8_000;

/**
 * Loads the client, which no broker without a Key Vault carries, and finds out nothing yet.
 * @param ended gives up what is on its way.
 */
export async function openKeyVaultCalls(target: KeyVaultTarget, ended: AbortSignal): Promise<KeyVaultCalls> {
  const { SecretClient: Client } = await import('@azure/keyvault-secrets');
  const credential = await credentialFor(target);
  const client = (maxRetries: number): SecretClient =>
    new Client(target.url, credential, {
      ...(target.token !== undefined && onLoopback),
      retryOptions: { maxRetries, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 },
    });
  // Asking twice is harmless. Setting twice makes two versions, so whoever sets looks before it tries again.
  const asking = client(2);
  const setting = client(0);

  const call = async <T>(work: (options: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> => {
    const abortSignal = AbortSignal.any([ended, AbortSignal.timeout(deadline)]);
    try {
      return await work({ abortSignal });
    } catch (error) {
      throw translate(error, target.url);
    }
  };
  return {
    get: (name, version) =>
      call(async (options) => {
        const secret = await asking.getSecret(name, { ...options, ...(version !== '' && { version }) });
        return { ...versionOf(secret.properties), value: secret.value ?? '' };
      }),
    set: (name, value, tags) =>
      call(async (options) => versionOf((await setting.setSecret(name, value, { ...options, tags })).properties)),
    update: (name, version, change) =>
      call(async (options) => void (await asking.updateSecretProperties(name, version, { ...options, ...change }))),
    list: (name) =>
      call(async (options) => {
        const versions: StoredVersion[] = [];
        let at = new Date();
        const onResponse = ({ headers }: { headers: { get(name: string): string | undefined } }): void => {
          const date = new Date(headers.get('date') ?? '');
          if (!Number.isNaN(date.getTime())) at = date;
        };
        for await (const properties of asking.listPropertiesOfSecretVersions(name, { ...options, onResponse })) {
          versions.push(versionOf(properties));
        }
        return { versions, at };
      }),
    delete: (name) => call(async (options) => void (await asking.beginDeleteSecret(name, options))),
    getDeleted: (name) => call(async (options) => void (await asking.getDeletedSecret(name, options))),
    purge: (name) => call((options) => asking.purgeDeletedSecret(name, options)),
  };
}

type Credential = ConstructorParameters<typeof SecretClient>[1];

async function credentialFor({ token }: KeyVaultTarget): Promise<Credential> {
  if (token !== undefined) {
    return { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
  }
  const { DefaultAzureCredential } = await import('@azure/identity');
  return new DefaultAzureCredential();
}

type Policies = NonNullable<SecretClientOptions['additionalPolicies']>;

/** No proxy of the environment is shown the token of a vault on this machine. */
const withoutProxy: Policies[number]['policy'] = {
  name: 'withoutProxy',
  sendRequest(request, next) {
    delete request.agent;
    delete request.proxySettings;
    return next(request);
  },
};

const onLoopback: SecretClientOptions & { readonly allowInsecureConnection: true } = {
  allowInsecureConnection: true,
  disableChallengeResourceVerification: true,
  additionalPolicies: [{ policy: withoutProxy, position: 'perRetry' }],
};

function versionOf({ version = '', createdOn, enabled, notBefore, expiresOn, tags }: SecretProperties): StoredVersion {
  return {
    version,
    createdAt: createdOn ?? new Date(0),
    enabled: enabled ?? true,
    notBefore: notBefore ?? null,
    expiresAt: expiresOn ?? null,
    tags: tags ?? {},
  };
}

/**
 * What the client throws holds the request and the answer, and so a secret: none of it goes on, not even as a cause.
 * Only a status and codes of a known form are taken.
 */
function translate(error: unknown, url: string): Error {
  const { name, statusCode, code, details, message } = error as {
    name?: unknown;
    statusCode?: unknown;
    code?: unknown;
    message?: unknown;
    details?: { error?: { code?: unknown; innerError?: { code?: unknown } } };
  };
  const word = (value: unknown): string | null =>
    typeof value === 'string' && /^\w{1,60}$/.test(value) ? value : null;
  const inner = word(details?.error?.innerError?.code) ?? word(details?.error?.code) ?? word(code) ?? 'unknown';
  if (typeof statusCode === 'number') {
    if (statusCode === 408 || statusCode === 429 || statusCode >= 500) {
      return new VaultUnavailable(`the vault \`${url}\` does not answer: ${statusCode} (\`${inner}\`)`);
    }
    if (statusCode === 401) return new VaultUnavailable(`the vault \`${url}\` does not accept the broker's token`);
    return new KeyVaultAnswer(statusCode, inner);
  }
  if (name === 'AbortError') {
    return new VaultUnavailable(`the vault \`${url}\` does not answer within ${deadline / 1000} s`);
  }
  if (typeof name === 'string' && /Authentication|Credential/.test(name)) {
    const aadsts = /AADSTS\d+/.exec(String(message))?.[0] ?? word(name) ?? 'unknown';
    const hint = 'give it a managed identity, a workload identity, or sign in with `az login`';
    return new VaultUnavailable(`the broker has no identity for the vault \`${url}\` (\`${aadsts}\`): ${hint}`);
  }
  return new VaultUnavailable(`the vault \`${url}\` cannot be reached (\`${word(code) ?? word(name) ?? 'unknown'}\`)`);
}
