import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration } from '../../src/domain/duration.ts';
import { decide, loadBundle } from '../../src/policy/index.ts';
import { changed, edited, loaded, mistakesIn, shippedFiles, useQuestion } from './shipped.ts';

test('the shipped bundle holds the profiles of the contract', () => {
  const { profiles } = loaded();
  const table = [...profiles.values()].map((profile) => [
    profile.name,
    profile.stages.map(({ name, from, needs }) => `${name}: ${needs} of ${from.join(' ')}`).join(', '),
    formatDuration(profile.longest),
    formatDuration(profile.longestTotal),
    profile.extendable,
  ]);
  const lead = 'lead: 1 of room-leads';
  const customer = 'customer: 1 of customer-approvers:{tenant}';
  assert.deepEqual(table, [
    ['break-glass', '', 'PT30M', 'PT30M', false],
    ['collect-identity-logs', `privacy: 1 of privacy-office, ${customer}`, 'PT1H', 'PT2H', true],
    ['diagnose', '', 'PT4H', 'PT4H', true],
    ['release-secret', `${lead}, ${customer}`, 'PT30M', 'PT1H', true],
    ['remediate', lead, 'PT1H', 'PT2H', true],
    ['remote-admin', `${lead}, ${customer}`, 'PT1H', 'PT2H', true],
    ['update', lead, 'PT2H', 'PT4H', true],
  ]);
  assert.equal(profiles.get('break-glass')!.reviewWithin, 86_400);
  assert.deepEqual(profiles.get('break-glass')!.tells, ['room-leads', 'customer-approvers:{tenant}']);
  assert.ok([...profiles.values()].every(({ lapse }) => lapse === 3_600));
});

test('the digest does not depend on the order of files, on the cases, or on what is no part of the bundle', () => {
  const { digest } = loaded();
  assert.match(digest, /^sha256:[0-9a-f]{64}$/);
  assert.equal(loaded(new Map([...shippedFiles].toReversed())).digest, digest);
  const others = { 'tests/world.json': null, 'tests/more.json': 'rubbish', 'README.md': 'hello', '.hidden': '' };
  assert.equal(loaded(changed(others)).digest, digest);
});

test('the digest changes with every content, and with a file that gets another name', () => {
  const digests = [
    loaded(),
    loaded(edited('requesting.cedar', 'Who may', 'who may')),
    loaded(edited('profiles/update.json', 'PT2H', 'PT3H')),
    loaded(edited('schema.cedarschema', 'hostname?: String', 'hostname?: String, firmware?: Long')),
    loaded(changed({ 'seeing.cedar': null, 'looking.cedar': shippedFiles.get('seeing.cedar')! })),
  ].map(({ digest }) => digest);
  assert.equal(new Set(digests).size, digests.length);
});

const permit = 'permit (principal, action, resource);';
const profile = shippedFiles.get('profiles/diagnose.json')!;

/** What is broken → the files, and the mistakes that must be told, each at its place. */
const broken: Record<string, [files: Map<string, string>, ...mistakes: RegExp[]]> = {
  'a policy that does not parse': [
    changed({ 'x.cedar': '// é😀\n@id("a") permit (principal, action, resource) whn { true };' }),
    /^x\.cedar:2:47 .*whn/,
  ],
  'mistakes in several policies of one file and in another file': [
    changed({ 'x.cedar': `permit (\n;\n${permit}`, 'y.cedar': 'forbid (principal,, action);' }),
    /^x\.cedar:2:1 unexpected token/,
    /^x\.cedar:3:1 every policy needs an `@id/,
    /^y\.cedar:1:19 unexpected token/,
  ],
  'a policy without a semicolon': [
    changed({ 'x.cedar': '@id("a")\npermit (principal' }),
    /^x\.cedar:2:18 unexpected end/,
  ],
  'a policy without an id': [changed({ 'x.cedar': `\n\n  ${permit}` }), /^x\.cedar:3:3 every policy needs an `@id/],
  'an id in a form that ids do not have': [
    changed({ 'x.cedar': `@id("A b") ${permit}` }),
    /^x\.cedar:1:1 `@id` must be/,
  ],
  'an id that is reserved': [changed({ 'x.cedar': `@id("no-policy-permits") ${permit}` }), /^x\.cedar:1:1 .*reserved/],
  'one id twice': [
    changed({ 'x.cedar': `@id("all-ledger") ${permit}` }),
    /^x\.cedar:1:1 `@id\("all-ledger"\)` is already at seeing\.cedar:\d+$/,
  ],
  'a forbid without a message': [
    changed({ 'x.cedar': '@id("a") forbid (principal, action, resource);' }),
    /^x\.cedar:1:1 the forbid `a` needs a `@message/,
  ],
  'an annotation with a slip in its name': [
    changed({ 'x.cedar': `@id("a") @remdy("b") ${permit}` }),
    /`@remdy` is not known/,
  ],
  'a message that names what there is not': [
    changed({ 'x.cedar': `@id("a") @message("{prifile}") ${permit}` }),
    /`\{prifile\}` in `@message` is not known/,
  ],
  'a template': [
    changed({ 'x.cedar': '@id("a") permit (principal == ?principal, action, resource);' }),
    /^x\.cedar:1:\d+ .*template/,
  ],
  'a policy that the schema does not bear out': [
    changed({ 'x.cedar': `@id("a")\npermit (principal, action, resource)\nwhen { "é" == principal.employer };` }),
    /^x\.cedar:3:15 .*`employer`.*has employer/,
  ],
  'an action that does not exist': [
    changed({ 'x.cedar': '@id("a") permit (principal, action == Action::"mnt", resource);' }),
    /^x\.cedar:1:39 unrecognized action .*did you mean `Action::"mint"`/,
    /policy is impossible/,
  ],
  'a policy that can never apply': [
    changed({ 'x.cedar': '@id("a") permit (principal, action == Action::"mint", resource is Grant);' }),
    /^x\.cedar:1:1 .*impossible/,
  ],
  'a policy nested too deeply for the engine': [
    changed({
      'x.cedar': `@id("a") permit (principal, action, resource) when { ${'('.repeat(900)}true${')'.repeat(900)} };`,
    }),
    /^x\.cedar:1:\d+ nested more than 32 deep/,
  ],
  'a policy with too many operators for the engine': [
    changed({ 'x.cedar': `@id("a") permit (principal, action, resource) when { ${'true && '.repeat(500)}true };` }),
    /^x\.cedar:1:\d+ more than 200 operators/,
  ],
  'a schema that does not parse': [
    edited('schema.cedarschema', 'entity Team;', 'entity Team'),
    /^schema\.cedarschema:6:1 unexpected token/,
  ],
  'a schema nested too deeply for the engine': [
    edited('schema.cedarschema', 'serial?: String', `serial?: ${'Set<'.repeat(99)}Long${'>'.repeat(99)}`),
    /^schema\.cedarschema:\d+:\d+ nested more than 32 deep/,
  ],
  'a schema that names a type there is not, in the second of two files': [
    changed({ 'z.cedarschema': '// more\nentity Room in [Flor];' }),
    /^z\.cedarschema:2:17 .*Flor/,
  ],
  'a schema without what Latchkey tells policies': [
    edited('schema.cedarschema', '    reviewOverdue: Bool,\n', ''),
    /^schema\.cedarschema:\d+:1 the schema does not fit what Latchkey asks about `mint`.*reviewOverdue/,
    /^requesting\.cedar:\d+:\d+ .*reviewOverdue/,
  ],
  'a schema that wants what Latchkey does not tell': [
    edited('schema.cedarschema', '    reviewOverdue: Bool,', '    reviewOverdue: Bool, mood: String,'),
    /the schema does not fit what Latchkey asks about `extend`.*mood/,
  ],
  'a device fact that is required': [
    edited('schema.cedarschema', 'serial?: String', 'serial: String'),
    /^schema\.cedarschema:\d+:3 the fact `serial` must be optional/,
  ],
  'a device fact of a type that facts do not have': [
    edited('schema.cedarschema', 'serial?: String', 'serial?: Set<String>'),
    /^schema\.cedarschema:\d+:3 the fact `serial` must be a String, a Long or a Bool/,
  ],
  'no schema': [changed({ 'schema.cedarschema': null }), /^schema\.cedarschema:1:1 the bundle has no schema/],
  'a profile that is no JSON': [
    changed({ 'profiles/x.json': '{\n  "name": }' }),
    /^profiles\/x\.json:2:11 expected a value/,
  ],
  'a profile that says one thing twice': [
    changed({ 'profiles/diagnose.json': profile.replace('{', '{\n  "longest": "PT1H",') }),
    /^profiles\/diagnose\.json:\d+:3 `longest` stands here twice/,
  ],
  'a profile with members that are unknown, missing or wrong, all at once': [
    changed({
      'profiles/diagnose.json': profile
        .replace('"PT4H"', '"P1M",\n  "longst": 1')
        .replace('"System Metadata"', '"EUI"'),
    }),
    /^profiles\/diagnose\.json:\d+:\d+ `longest` must be a duration/,
    /^profiles\/diagnose\.json:\d+:\d+ the file has `longst`, which is not known here/,
    /^profiles\/diagnose\.json:\d+:\d+ `dataClasses\/0` must be one of `Customer Content`/,
  ],
  'a profile without a duration': [
    edited('profiles/diagnose.json', '"longest"', '"lapse"'),
    /:1:1 the file must have required property 'longest'/,
  ],
  'a duration of nothing': [
    edited('profiles/diagnose.json', 'PT4H', 'PT0S'),
    /`longest` must be a duration above zero/,
  ],
  'a scope twice': [
    edited('profiles/diagnose.json', 'logs.collect:system', 'device.inspect'),
    /^profiles\/diagnose\.json:4:\d+ `scopes` has this twice/,
  ],
  'a stage twice': [edited('profiles/remote-admin.json', '"customer"', '"lead"'), /stage `lead` stands here twice/],
  'a stage that needs nobody': [
    edited('profiles/remediate.json', '"needs": 1', '"needs": 0'),
    /`stages\/0\/needs` must be >= 1/,
  ],
  'a team with braces that stand for nothing': [
    edited('profiles/remote-admin.json', '{tenant}', '{slug}'),
    /`stages\/1\/from\/0` must match pattern/,
  ],
  'a name that another profile has': [
    edited('profiles/update.json', '"update"', '"diagnose"'),
    /^profiles\/update\.json:2:11 the file must be called `profiles\/diagnose\.json`/,
  ],
  'less in all than for one request': [
    edited('profiles/update.json', '"PT2H"', '"PT2H",\n  "longestTotal": "PT1H"'),
    /^profiles\/update\.json:\d+:19 `longestTotal` must not be shorter than `longest`/,
  ],
  'a file whose name ends in a slip': [changed({ 'more.cedr': permit }), /^more\.cedr:1:1 not part of a bundle/],
};

for (const [what, [files, ...mistakes]] of Object.entries(broken)) {
  test(`a bundle is refused for ${what}`, () => {
    const told = mistakesIn(files);
    for (const mistake of mistakes)
      assert.ok(
        told.some((line) => mistake.test(line)),
        `${mistake} in\n${told.join('\n')}`,
      );
  });
}

test('a bundle that is refused does not disturb the one in use', () => {
  const bundle = loaded();
  const before = decide(bundle, useQuestion(bundle));
  for (const [files] of Object.values(broken)) assert.equal(loadBundle(files).ok, false);
  assert.deepEqual(decide(bundle, useQuestion(bundle)), before);
});

test('bundles replace one another without taking memory for ever, and an old one still decides', () => {
  const first = loaded();
  const question = useQuestion(first, { action: 'extend' });
  const before = decide(first, question);
  const replace = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const next = { ...first, engine: { ...first.engine, key: `sha256:${i}` } };
      assert.equal(decide(next, question).allowed, true);
    }
  };
  replace(0, 200);
  const memory = process.memoryUsage().rss;
  replace(200, 1_200);
  const grown = process.memoryUsage().rss - memory;
  assert.ok(grown < 25_000_000, `1,000 bundles took ${grown} bytes`);
  assert.deepEqual(decide(first, question), before);
});
