import { badParameter, isForbiddenByRole, ServiceError } from './errors.ts';
import { readParameters, type SecretStore } from './store.ts';

export interface ServiceRequest {
  readonly method: string;
  /** Path and query, as they were asked. */
  readonly url: URL;
  readonly body: string;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly body: object | null;
}

/** What somebody may not do, by the name that the roles of the service give it. */
export type Action = 'get' | 'set' | 'update' | 'list' | 'delete' | 'recover' | 'purge';

const actions: Readonly<Record<Action, string>> = {
  get: 'secrets/getSecret/action',
  set: 'secrets/setSecret/action',
  update: 'secrets/update/action',
  list: 'secrets/readMetadata/action',
  delete: 'secrets/delete',
  recover: 'secrets/recover/action',
  purge: 'secrets/purge/action',
};

const names = /^[0-9a-zA-Z-]{1,127}$/;
const versions = /^[0-9a-fA-F]{32}$/;
const apiVersions = /^(?:7\.\d(?:-preview(?:\.\d)?)?|20\d\d-\d\d-\d\d(?:-preview)?)$/;
const pageSize = 25;

/** Answers one call of somebody who has shown a token. @throws ServiceError as documented. */
export function answer(store: SecretStore, request: ServiceRequest, denied: ReadonlySet<Action>): ServiceAnswer {
  const { method, url } = request;
  const version = url.searchParams.get('api-version');
  if (version === null) throw badParameter('The request is missing the required parameter api-version.');
  if (!apiVersions.test(version)) throw badParameter(`The specified version (${version}) is not recognized.`);
  const [collection = '', name = '', third = '', ...more] = url.pathname.slice(1).split('/');
  const allow = (action: Action): void => {
    if (denied.has(action)) throw isForbiddenByRole(url.hostname.split('.')[0]!, actions[action]);
  };
  const ok = (body: object): ServiceAnswer => ({ status: 200, body });
  if (more.length > 0 || (collection !== 'secrets' && collection !== 'deletedsecrets')) throw nowhere(url);
  if (name !== '' && !names.test(name)) throw badParameter(`The request URI contains an invalid name: ${name}`);

  if (collection === 'deletedsecrets') {
    switch (`${method} ${name === '' ? '' : 'name'}${third === '' ? '' : `/${third}`}`) {
      case 'GET ':
        allow('list');
        return ok(page(store.listDeleted(), url));
      case 'GET name':
        allow('get');
        return ok(store.getDeleted(name));
      case 'DELETE name':
        allow('purge');
        store.purge(name);
        return { status: 204, body: null };
      case 'POST name/recover':
        allow('recover');
        return ok(store.recover(name));
      default:
        throw nowhere(url);
    }
  }
  if (name === '') {
    if (method !== 'GET') throw notAllowed(method);
    allow('list');
    return ok(page(store.list(), url));
  }
  if (method === 'GET' && third === 'versions') {
    allow('list');
    return ok(page(store.listVersions(name), url));
  }
  if (third !== '' && !versions.test(third))
    throw badParameter(`The request URI contains an invalid version: ${third}`);
  switch (method) {
    case 'GET':
      allow('get');
      return ok(store.get(name, third));
    case 'PATCH':
      allow('update');
      return ok(store.update(name, third, readParameters(request.body, false)));
    case 'PUT':
      if (third !== '') throw notAllowed(method);
      allow('set');
      return ok(store.set(name, readParameters(request.body, true)));
    case 'DELETE':
      if (third !== '') throw notAllowed(method);
      allow('delete');
      return ok(store.delete(name));
    default:
      throw notAllowed(method);
  }
}

/** A page of a list, with the link to the next one or null. */
function page(items: readonly object[], url: URL): object {
  const size = Number(url.searchParams.get('maxresults') ?? pageSize);
  if (!Number.isInteger(size) || size < 1 || size > pageSize) {
    throw badParameter(`maxresults must be between 1 and ${pageSize}.`);
  }
  const token = url.searchParams.get('$skiptoken');
  const start = token === null ? 0 : Number(Buffer.from(token, 'base64url').toString());
  const end = start + size;
  if (end >= items.length) return { value: items.slice(start), nextLink: null };
  const next = new URL(url);
  next.searchParams.set('$skiptoken', Buffer.from(String(end)).toString('base64url'));
  next.searchParams.set('maxresults', String(size));
  return { value: items.slice(start, end), nextLink: next.href };
}

function nowhere(url: URL): ServiceError {
  return new ServiceError(404, 'NotFound', `The resource ${url.pathname} was not found.`);
}

function notAllowed(method: string): ServiceError {
  return new ServiceError(405, 'MethodNotAllowed', `The method ${method} is not allowed here.`);
}
