import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { parse } from 'yaml';

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), 'utf8');

type Mapping = Record<string, unknown>;
const compose = parse(read('docker-compose.yml'), { merge: true }) as Mapping;
const services = compose.services as Record<string, Mapping>;

const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string' && value.length > 0;
const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every(isText) && new Set(value).size === value.length;
const isOneOf =
  (...values: unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const isDuration = (value: unknown): boolean => isText(value) && /^(\d+(us|ms|s|m|h))+$/.test(value);
const isCount = (value: unknown): boolean => Number.isInteger(value);
const shape =
  (members: Record<string, (value: unknown) => boolean>, ...required: string[]) =>
  (value: unknown): boolean =>
    isMapping(value) &&
    required.every((name) => name in value) &&
    Object.entries(value).every(([name, member]) => members[name]?.(member) ?? false);
const listOf = (item: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(item);
const mapOf = (item: (value: unknown) => boolean) => (value: unknown) =>
  isMapping(value) && Object.entries(value).every(([name, each]) => /^[a-zA-Z0-9._-]+$/.test(name) && item(each));
const either =
  (...kinds: ((value: unknown) => boolean)[]) =>
  (value: unknown) =>
    kinds.some((kind) => kind(value));
const isFlag = isOneOf(true, false);

/** What the compose specification lets a service say, of the keys that are used. */
const reference = shape({ source: isText, target: isText, uid: isText, gid: isText, mode: isCount }, 'source');
const service: Record<string, (value: unknown) => boolean> = {
  image: isText,
  build: either(isText, shape({ context: isText, dockerfile: isText, target: isText })),
  user: isText,
  command: either(isText, isTexts),
  environment: mapOf(either(isText, isCount, isFlag)),
  read_only: isFlag,
  init: isFlag,
  cap_drop: isTexts,
  security_opt: isTexts,
  pids_limit: isCount,
  shm_size: (value) => isText(value) && /^\d+(b|kb?|mb?|gb?)$/i.test(value),
  secrets: listOf(either(isText, reference)),
  configs: listOf(either(isText, reference)),
  volumes: listOf(
    either(
      isText,
      shape(
        { type: isOneOf('bind', 'volume', 'tmpfs'), source: isText, target: isText, read_only: isFlag },
        'type',
        'target',
      ),
    ),
  ),
  tmpfs: either(isText, isTexts),
  networks: isTexts,
  ports: listOf((value) => isText(value) && /^(([\d.]+|\[[\da-f:]+\]):)?(\d+:)?\d+(\/(tcp|udp))?$/.test(value)),
  depends_on: mapOf(
    shape(
      {
        condition: isOneOf('service_started', 'service_healthy', 'service_completed_successfully'),
        restart: isFlag,
        required: isFlag,
      },
      'condition',
    ),
  ),
  healthcheck: shape({
    test: either(isText, (value) => isTexts(value) && ['CMD', 'CMD-SHELL', 'NONE'].includes((value as string[])[0]!)),
    interval: isDuration,
    timeout: isDuration,
    start_period: isDuration,
    retries: isCount,
    disable: isFlag,
  }),
  restart: (value) => isText(value) && /^(no|always|unless-stopped|on-failure(:\d+)?)$/.test(value),
  stop_signal: isText,
  stop_grace_period: isDuration,
};

describe('the file is what the compose specification asks for', () => {
  test('at the top', () => {
    const top = shape(
      {
        name: (value) => isText(value) && /^[a-z0-9][a-z0-9_-]*$/.test(value),
        'x-hardened': isMapping,
        services: mapOf(isMapping),
        networks: mapOf(shape({ internal: isFlag })),
        volumes: mapOf(shape({})),
        configs: mapOf(either(shape({ content: isText }, 'content'), shape({ file: isText }, 'file'))),
        secrets: mapOf(either(shape({ file: isText }, 'file'), shape({ environment: isText }, 'environment'))),
      },
      'services',
    );
    assert.ok(top(compose));
  });

  for (const [name, definition] of Object.entries(services)) {
    test(`for ${name}`, () => {
      for (const [key, value] of Object.entries(definition)) {
        assert.ok(service[key], `\`${key}\` is not a key that is known here`);
        assert.ok(service[key](value), `\`${key}\` is not well formed: ${JSON.stringify(value)}`);
      }
      assert.ok('image' in definition || 'build' in definition);
    });

    test(`and what ${name} refers to is there`, () => {
      const names = (list: unknown): string[] =>
        ((list ?? []) as (string | { source: string })[]).map((each) =>
          typeof each === 'string' ? each : each.source,
        );
      for (const kind of ['secrets', 'configs'] as const) {
        for (const each of names(definition[kind])) assert.ok(each in (compose[kind] as Mapping), `${kind}: ${each}`);
      }
      for (const each of names(definition.networks)) assert.ok(each in (compose.networks as Mapping), each);
      for (const each of Object.keys(definition.depends_on ?? {})) assert.ok(each in services, each);
      for (const each of (definition.volumes ?? []) as (string | { source: string })[]) {
        if (typeof each === 'string')
          assert.ok(Object.hasOwn(compose.volumes as Mapping, each.split(':', 1).join()), each);
        else assert.ok(existsSync(fileURLToPath(new URL(`../${each.source}`, import.meta.url))), each.source);
      }
    });
  }

  test('every secret, volume and configuration is used', () => {
    const used = JSON.stringify(services);
    for (const kind of ['secrets', 'volumes', 'configs', 'networks']) {
      for (const name of Object.keys(compose[kind] as Mapping)) assert.ok(used.includes(`"${name}`), name);
    }
  });
});

describe('what runs has no more power than it needs', () => {
  for (const [name, definition] of Object.entries(services)) {
    test(name, () => {
      assert.equal(definition.read_only, true, 'the root file system is read-only');
      assert.deepEqual(definition.cap_drop, ['ALL']);
      assert.deepEqual(definition.security_opt, ['no-new-privileges:true']);
      assert.ok(isText(definition.user) && !/^(0|root)(:|$)/.test(definition.user), 'it does not run as root');
      assert.ok((definition.pids_limit as number) > 0);
      for (const key of ['privileged', 'cap_add', 'network_mode', 'pid', 'ipc', 'devices'])
        assert.ok(!(key in definition));
      assert.doesNotMatch(JSON.stringify(definition), /docker\.sock/);
      for (const [variable, value] of Object.entries((definition.environment ?? {}) as Mapping)) {
        const secret = /password|secret|token|key/i.test(variable);
        assert.ok(!secret || (variable.endsWith('_FILE') && String(value).startsWith('/run/secrets/')), variable);
      }
    });
  }

  test('the broker knows no password but its own, and nobody outside reaches the database', () => {
    const names = (service: string): string[] =>
      (services[service]!.secrets as (string | { source: string })[]).map((each) =>
        typeof each === 'string' ? each : each.source,
      );
    assert.deepEqual(names('broker'), ['broker_config']);
    assert.deepEqual(names('migrate'), ['migrate_config']);
    assert.equal((compose.networks as Record<string, Mapping>).database!.internal, true);
    assert.deepEqual(services.postgres!.networks, ['database']);
    assert.ok(!('ports' in services.postgres!));
    for (const port of services.broker!.ports as string[]) assert.match(port, /^127\.0\.0\.1:/);
  });
});

test('the broker starts on a migrated database, is watched, and has longer to drain than it needs', () => {
  const { broker, migrate, postgres } = services as Record<'broker' | 'migrate' | 'postgres', Mapping>;
  assert.deepEqual(broker.depends_on, {
    postgres: { condition: 'service_healthy' },
    migrate: { condition: 'service_completed_successfully' },
  });
  assert.deepEqual(migrate.command, ['migrate', '--config', '/run/secrets/migrate.json']);
  assert.equal(migrate.restart, 'no');
  assert.match(JSON.stringify(broker.healthcheck), /readyz/);
  assert.match(JSON.stringify(postgres.healthcheck), /pg_isready/);
  assert.ok(Number.parseInt(broker.stop_grace_period as string, 10) > 10);
});

test('the image runs the broker itself, as nobody of importance, without what only development needs', () => {
  const instructions = read('Dockerfile')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.split(/ (.*)/s, 2) as [string, string]);
  const of = (name: string): string[] => instructions.filter(([each]) => each === name).map(([, rest]) => rest);
  for (const base of of('FROM')) assert.match(base, /^node:24-bookworm-slim( AS \w+)?$/);
  assert.match(of('RUN').join('\n'), /npm ci --omit=dev .*--ignore-scripts/);
  assert.equal(of('USER').at(-1), '10001:10001');
  assert.equal(of('USER').at(-1), services.broker!.user);
  assert.deepEqual(JSON.parse(of('ENTRYPOINT')[0]!), ['node', 'src/main.ts']);
  assert.deepEqual(JSON.parse(of('CMD')[0]!), services.broker!.command);
  assert.deepEqual(of('ADD'), []);
  for (const source of of('COPY').filter((each) => !each.startsWith('--from'))) {
    for (const path of source.split(' ').slice(0, -1)) {
      assert.ok(existsSync(fileURLToPath(new URL(`../${path}`, import.meta.url))), path);
      assert.match(read('.dockerignore'), new RegExp(`^!${path.replaceAll('.', '\\.')}$`, 'm'));
    }
  }
});
