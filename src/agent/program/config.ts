import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Type, type Static } from 'typebox';
import type { InputMistake } from '../../domain/errors.ts';
import { pointerSegment, shapeMistakes } from '../../domain/shape-mistakes.ts';
import { parseStrictJson } from '../../domain/strict-json.ts';
import { vkeyMistake } from '../../ledger/vkey-mistake.ts';
import { BrokerError, requireBrokerUrl } from '../broker-calls.ts';
import { doorAddressMistake } from '../door-server.ts';
import type { DemandedWitnesses } from '../witnesses.ts';
import { ActionsFile } from './action-file.ts';
import { declareAction, type Declaration } from './declare-action.ts';
import { accountPattern, type LocalAdministratorConfig } from './set-password.ts';
import { shippedSet } from './shipped.ts';

const closed = { additionalProperties: false };
const text = Type.String({ minLength: 1, maxLength: 2_000 });

const ConfigFile = Type.Object(
  {
    brokerUrl: text,
    stateDirectory: text,
    enrolmentCode: Type.Optional(text),
    enrolmentCodeFile: Type.Optional(text),
    door: Type.Object(
      { host: text, port: Type.Integer({ minimum: 0, maximum: 65_535 }), url: Type.Optional(text) },
      closed,
    ),
    witnesses: Type.Optional(
      Type.Object(
        {
          keys: Type.Array(text, { minItems: 1, maxItems: 16, uniqueItems: true }),
          needed: Type.Integer({ minimum: 1, maximum: 16 }),
        },
        closed,
      ),
    ),
    facts: Type.Optional(Type.Record(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9]{0,63}$' }), text, closed)),
    values: Type.Optional(Type.Record(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,63}$' }), text, closed)),
    localAdministrator: Type.Optional(
      Type.Object(
        {
          account: Type.Optional(Type.String({ pattern: accountPattern })),
          command: Type.Optional(Type.Array(text, { minItems: 1, maxItems: 50 })),
        },
        closed,
      ),
    ),
    dryRun: Type.Optional(Type.Boolean()),
    actionSets: Type.Optional(Type.Array(text, { maxItems: 20, uniqueItems: true })),
    actions: Type.Optional(ActionsFile),
  },
  closed,
);
const ActionSetFile = Type.Object({ actions: ActionsFile }, closed);

type ConfigFile = Static<typeof ConfigFile>;

/** What the agent of a device is told. */
export interface AgentConfig {
  readonly brokerUrl: string;
  readonly stateDirectory: string;
  /** How the device is enrolled at its first start: the code itself, or a file that holds it. */
  readonly enrolmentCode: string | null;
  readonly enrolmentCodeFile: string | null;
  readonly door: { readonly host: string; readonly port: number; readonly url?: string; readonly hasTls: boolean };
  readonly witnesses: DemandedWitnesses | null;
  /** What the device says of itself beyond what it finds out. */
  readonly facts: Readonly<Record<string, string>>;
  /** Whose password the broker says and the agent sets; null when that is nobody's. */
  readonly localAdministrator: LocalAdministratorConfig | null;
  /** True where nothing that an action could harm may be harmed: actions only say what they would do. */
  readonly dryRun: boolean;
  readonly actions: ReadonlyMap<string, Declaration>;
}

/** Every mistake of a configuration, each with its file and JSON pointer. */
export class AgentConfigError extends Error {
  override readonly name = 'AgentConfigError';
  readonly mistakes: readonly InputMistake[];
  constructor(file: string, mistakes: readonly InputMistake[]) {
    super([`${file} cannot be used:`, ...mistakes.map((m) => `  ${m.pointer || '/'}: ${m.message}`)].join('\n'));
    this.mistakes = mistakes;
  }
}

/** Reads and checks the configuration file, and the sets of actions it names. @throws AgentConfigError */
export async function readAgentConfig(file: string): Promise<AgentConfig> {
  const [value, mistake] = await readJson(file);
  if (mistake) throw new AgentConfigError(file, [mistake]);
  return parseAgentConfig(value, file);
}

/** Checks a configuration. @throws AgentConfigError with all mistakes together. */
export async function parseAgentConfig(value: unknown, file = 'the configuration'): Promise<AgentConfig> {
  const mistakes = check(isConfig, value);
  const fail = () => new AgentConfigError(file, mistakes);
  if (typeof value !== 'object' || value === null) throw fail();
  const written = value as Partial<ConfigFile>;
  const isSound = (name: keyof ConfigFile): boolean =>
    written[name] !== undefined && !mistakes.some(({ pointer }) => `${pointer}/`.startsWith(`/${name}/`));
  const part = <K extends keyof ConfigFile>(name: K): ConfigFile[K] | undefined =>
    isSound(name) ? (written as ConfigFile)[name] : undefined;

  const brokerUrl = readBrokerUrl(part('brokerUrl'), mistakes);
  const door = readDoor(part('door'), mistakes);
  readWitnesses(part('witnesses'), mistakes);
  const localAdministrator = readLocalAdministrator(part('localAdministrator'), mistakes);
  if (written.enrolmentCode !== undefined && written.enrolmentCodeFile !== undefined) {
    mistakes.push({ pointer: '/enrolmentCodeFile', message: 'makes no sense beside `enrolmentCode`' });
  }
  if (written.actions === undefined && written.actionSets === undefined) {
    mistakes.push({ pointer: '/actions', message: 'is missing, and so is `actionSets`: there would be nothing to do' });
  }
  const actions = new Map<string, Declaration>();
  const values = part('values') ?? {};
  const own = part('actions') ?? {};
  // What the file itself declares takes the place of what a set declares, and a later set of an earlier.
  for (const [index, name] of (part('actionSets') ?? []).entries()) {
    await readActionSet(name, { values, own, pointer: `/actionSets/${index}` }, actions, mistakes);
  }
  await declareAll(own, values, '/actions', actions, mistakes);
  if (mistakes.length > 0) throw fail();
  const { stateDirectory, enrolmentCode, enrolmentCodeFile, witnesses, facts, dryRun } = value as ConfigFile;
  return {
    brokerUrl,
    stateDirectory: resolve(stateDirectory),
    enrolmentCode: enrolmentCode ?? null,
    enrolmentCodeFile: enrolmentCodeFile ?? null,
    door: door!,
    witnesses: witnesses ?? null,
    localAdministrator,
    facts: facts ?? {},
    dryRun: dryRun ?? false,
    actions,
  };
}

const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true });
const isConfig = ajv.compile<ConfigFile>(ConfigFile);
const isActionSet = ajv.compile<Static<typeof ActionSetFile>>(ActionSetFile);

function check(validate: typeof isConfig | typeof isActionSet, value: unknown): InputMistake[] {
  validate(value);
  return shapeMistakes((validate.errors ?? []).filter(({ keyword }) => keyword !== 'anyOf'));
}

function readBrokerUrl(url: string | undefined, mistakes: InputMistake[]): string {
  if (url === undefined) return '';
  try {
    return requireBrokerUrl(url);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    mistakes.push({ pointer: '/brokerUrl', message: error.message });
    return '';
  }
}

/** The scheme of the address says whether there is TLS; without an address there is. */
function readDoor(door: ConfigFile['door'] | undefined, mistakes: InputMistake[]): AgentConfig['door'] | null {
  if (!door) return null;
  const hasTls = !door.url?.toLowerCase().startsWith('http:');
  const mistake = doorAddressMistake({ ...door, tls: hasTls });
  if (mistake) mistakes.push({ pointer: `/door/${mistake.option}`, message: mistake.message });
  return { ...door, hasTls };
}

/** An account by `chpasswd`, which Linux has, or a program of one's own. */
function readLocalAdministrator(
  wanted: ConfigFile['localAdministrator'],
  mistakes: InputMistake[],
): LocalAdministratorConfig | null {
  if (!wanted) return null;
  const fail = (pointer: string, message: string): null => {
    mistakes.push({ pointer: `/localAdministrator${pointer}`, message });
    return null;
  };
  const { account, command } = wanted;
  if ((account === undefined) === (command === undefined))
    return fail('', 'needs `account` or `command`, and not both');
  if (account !== undefined) {
    return process.platform === 'linux' ? { account } : fail('/account', 'is for Linux; elsewhere name a `command`');
  }
  const [file, ...rest] = command!;
  return isAbsolute(file!)
    ? { command: [file!, ...rest] }
    : fail('/command/0', 'must be the absolute path of a program');
}

function readWitnesses(witnesses: ConfigFile['witnesses'], mistakes: InputMistake[]): void {
  if (!witnesses) return;
  witnesses.keys.forEach((key, index) => {
    const message = vkeyMistake(key, 'cosignature');
    if (message !== null) mistakes.push({ pointer: `/witnesses/keys/${index}`, message });
  });
  if (witnesses.needed > witnesses.keys.length) {
    mistakes.push({ pointer: '/witnesses/needed', message: `is more than the ${witnesses.keys.length} witnesses` });
  }
}

/** `latchkey:NAME` is a set that comes with the agent; anything else is a file. */
async function readActionSet(
  name: string,
  { values, own, pointer }: { values: Readonly<Record<string, string>>; own: ActionsFile; pointer: string },
  actions: Map<string, Declaration>,
  mistakes: InputMistake[],
): Promise<void> {
  const shipped = /^latchkey:(?<set>[a-z]+)$/.exec(name)?.groups?.['set'];
  const file = shipped ? shippedSet(shipped) : name;
  const [value, unread] = await readJson(file);
  const wrong = unread ? [unread] : check(isActionSet, value);
  const inSet = [...wrong];
  if (inSet.length === 0) {
    const all = Object.entries((value as Static<typeof ActionSetFile>).actions);
    const written = Object.fromEntries(all.filter(([scope]) => !Object.hasOwn(own, scope)));
    await declareAll(written, { here: dirname(resolve(file)), ...values }, '/actions', actions, inSet);
  }
  for (const mistake of inSet) {
    mistakes.push({ pointer, message: `\`${name}\`, at \`${mistake.pointer || '/'}\`: ${mistake.message}` });
  }
}

async function declareAll(
  written: ActionsFile,
  values: Readonly<Record<string, string>>,
  pointer: string,
  actions: Map<string, Declaration>,
  mistakes: InputMistake[],
): Promise<void> {
  for (const [scope, action] of Object.entries(written)) {
    actions.set(scope, await declareAction(action, values, `${pointer}/${pointerSegment(scope)}`, mistakes));
  }
}

/** INVARIANT: what others could change says nothing about what is run here, which is often run as root. */
async function readJson(file: string): Promise<readonly [value: unknown, mistake: InputMistake | null]> {
  const mistake = (message: string) => [null, { pointer: '', message }] as const;
  try {
    if (process.platform !== 'win32' && ((await stat(file)).mode & 0o002) !== 0) {
      return mistake('can be changed by every user of the machine; run `chmod o-w` on it');
    }
    return [parseStrictJson(await readFile(file, 'utf8')), null];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return mistake(code ? `cannot be read (${code})` : 'is not JSON, or names a member twice');
  }
}
