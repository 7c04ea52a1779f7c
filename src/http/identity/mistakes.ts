import type { InputMistake } from '../../domain/errors.ts';
import { isLoopbackHost } from './addresses.ts';
import type { IdentityProviderConfig } from './types.ts';

/** Claims that hold an e-mail address or a user principal name: a provider gives both to someone else in time. */
const reusedClaims = ['email', 'mail', 'upn', 'preferred_username', 'unique_name', 'username', 'name'];
const employers = ['provider', 'subcontractor', 'customer'];

/**
 * What is wrong with one configured provider beyond the shape of its entry.
 * @param pointer JSON pointer of the entry in the configuration.
 */
export function identityProviderMistakes(config: IdentityProviderConfig, pointer: string): InputMistake[] {
  return [
    ...addressMistakes(config.issuer, `${pointer}/issuer`),
    ...(config.jwksUri === undefined ? [] : addressMistakes(config.jwksUri, `${pointer}/jwksUri`)),
    ...(config.audience === '' ? [{ pointer: `${pointer}/audience`, message: 'may not be empty' }] : []),
    ...claimMistakes(config, `${pointer}/claims`),
    ...employerMistakes(config, `${pointer}/allowedEmployers`),
    ...teamMistakes(config, `${pointer}/teamNames`),
    ...ageMistakes(config, `${pointer}/maxTokenAge`),
  ];
}

/** The mistakes of all entries, and entries that share an issuer: which of the two would be believed? */
export function identityProvidersMistakes(configs: readonly IdentityProviderConfig[], pointer: string): InputMistake[] {
  return configs.flatMap((config, index) => {
    const first = configs.findIndex(({ issuer }) => issuer === config.issuer);
    const own = identityProviderMistakes(config, `${pointer}/${index}`);
    const message = `\`${config.issuer}\` is already configured in \`${pointer}/${first}\``;
    return first === index ? own : [...own, { pointer: `${pointer}/${index}/issuer`, message }];
  });
}

function addressMistakes(address: string, pointer: string): InputMistake[] {
  const url = URL.parse(address);
  const mistake = (message: string): InputMistake[] => [{ pointer, message }];
  if (!url || !['http:', 'https:'].includes(url.protocol)) return mistake(`\`${address}\` is not an https address`);
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) return mistake('plain http is for this machine only');
  if (url.username || url.password) return mistake('may not hold a user name or password');
  if (pointer.endsWith('/issuer') && /[?#]/.test(address)) return mistake('may not have a query or fragment');
  return [];
}

function claimMistakes({ claims }: IdentityProviderConfig, pointer: string): InputMistake[] {
  const empty = Object.entries(claims)
    .filter(([, claim]) => claim === '')
    .map(([name]) => ({ pointer: `${pointer}/${name}`, message: 'may not be empty' }));
  if (!reusedClaims.includes(claims.subject.toLowerCase())) return empty;
  const message = `\`${claims.subject}\` may be given to someone else: name a claim that never is, such as \`sub\` or \`oid\``;
  return [...empty, { pointer: `${pointer}/subject`, message }];
}

function employerMistakes({ allowedEmployers = [] }: IdentityProviderConfig, pointer: string): InputMistake[] {
  return allowedEmployers.flatMap((employer, index) =>
    employers.includes(employer)
      ? []
      : [{ pointer: `${pointer}/${index}`, message: `\`${employer}\` is none of \`${employers.join('`, `')}\`` }],
  );
}

function teamMistakes({ teamNames = {}, allowedTeams = [] }: IdentityProviderConfig, pointer: string): InputMistake[] {
  return Object.entries(teamNames)
    .filter(([, team]) => !allowedTeams.includes(team))
    .map(([value, team]) => ({
      pointer: `${pointer}/${value.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      message: `\`${team}\` is not in \`allowedTeams\`, so nobody would be believed to be in it`,
    }));
}

function ageMistakes({ maxTokenAge }: IdentityProviderConfig, pointer: string): InputMistake[] {
  const sound = maxTokenAge === undefined || (Number.isInteger(maxTokenAge) && maxTokenAge > 0);
  return sound ? [] : [{ pointer, message: 'must be longer than nothing' }];
}
