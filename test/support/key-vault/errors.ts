/** An answer of the service other than 200, with the body that it documents for errors. */
export class ServiceError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;

  constructor(
    status: number,
    code: string,
    message: string,
    { inner, headers = {} }: { readonly inner?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.status = status;
    this.headers = headers;
    this.body = { error: { code, message, ...(inner !== undefined && { innererror: { code: inner } }) } };
  }
}

export function badParameter(message: string): ServiceError {
  return new ServiceError(400, 'BadParameter', message);
}

const recoverHint =
  'If you recently deleted this secret you may be able to recover it using the correct recovery command. ' +
  'For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182';

export function secretNotFound(nameOrId: string): ServiceError {
  return new ServiceError(
    404,
    'SecretNotFound',
    `A secret with (name/id) ${nameOrId} was not found in this key vault. ${recoverHint}`,
  );
}

export function deletedSecretNotFound(name: string): ServiceError {
  return new ServiceError(404, 'SecretNotFound', `Deleted Secret not found: ${name}`);
}

export function isBeingDeleted(name: string): ServiceError {
  const message = `Secret ${name} is currently being deleted and cannot be re-created; retry later.`;
  return new ServiceError(409, 'Conflict', message, { inner: 'ObjectIsBeingDeleted' });
}

export function isBeingRecovered(name: string): ServiceError {
  const message = `Secret ${name} is currently being recovered and cannot be re-created; retry later.`;
  return new ServiceError(409, 'Conflict', message, { inner: 'ObjectIsBeingRecovered' });
}

export function isDeletedButRecoverable(name: string): ServiceError {
  const message =
    `Secret ${name} is currently in a deleted but recoverable state, and its name cannot be reused; ` +
    'in this state, the secret can only be recovered or purged.';
  return new ServiceError(409, 'Conflict', message, { inner: 'ObjectIsDeletedButRecoverable' });
}

export function isDisabled(operation: string): ServiceError {
  const message = `Operation ${operation} is not allowed on a disabled secret.`;
  return new ServiceError(403, 'Forbidden', message, { inner: 'SecretDisabled' });
}

export function isPurgeProtected(vault: string): ServiceError {
  const message =
    'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service will ' +
    `automatically purge it after the retention period has passed.\r\nVault: ${vault};location=westeurope`;
  return new ServiceError(403, 'Forbidden', message);
}

export function isForbiddenByRole(vault: string, action: string): ServiceError {
  const message =
    'Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role ' +
    'definitions were changed recently, please observe propagation time.\r\n' +
    'Caller: appid=11111111-2222-3333-4444-555555555555;oid=66666666-7777-8888-9999-000000000000\r\n' +
    `Action: 'Microsoft.KeyVault/vaults/${action}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\n` +
    `DecisionReason: null \r\nVault: ${vault};location=westeurope\r\n`;
  return new ServiceError(403, 'Forbidden', message, { inner: 'ForbiddenByRbac' });
}

export function isThrottled(seconds: number): ServiceError {
  const message =
    'Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached';
  return new ServiceError(429, 'Throttled', message, {
    inner: 'VaultRequestTypeLimitReached',
    headers: { 'retry-after': String(seconds) },
  });
}

const authority = 'https://login.microsoftonline.com/12345678-1234-1234-1234-123456789012';
const resource = 'https://vault.azure.net';

/** @param message null when there was no token at all: the challenge that every client's first call meets. */
export function isUnauthorized(message: string | null): ServiceError {
  const challenge = `Bearer authorization="${authority}", resource="${resource}"`;
  const invalid = message === null ? '' : `, error="invalid_token", error_description="${message}"`;
  return new ServiceError(401, 'Unauthorized', message ?? 'AKV10000: Request is missing a Bearer or PoP token.', {
    headers: { 'www-authenticate': challenge + invalid },
  });
}
