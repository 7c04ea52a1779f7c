import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testBundle } from '../../src/policy/cases.ts';
import { policyCheck, policyTest } from '../../src/policy/index.ts';
import { changed, edited, shippedFiles } from './shipped.ts';

test('the shipped bundle is as its cases expect, and every policy decides in one of them', () => {
  const tested = testBundle(shippedFiles);
  assert.ok(tested.ok);
  assert.deepEqual(
    tested.results.filter(({ passed }) => !passed),
    [],
  );
  assert.ok(tested.results.length > 500);
  assert.deepEqual(tested.untested, []);
});

const slips: [file: string, piece: string, replacement: string][] = [
  ['requesting.cedar', 'principal.trainingValidUntil > context.now', 'principal.trainingValidUntil >= context.now'],
  ['requesting.cedar', 'context.duration > context.profile.longest', 'context.duration >= context.profile.longest'],
  ['requesting.cedar', 'context.total > context.profile.longestTotal', 'context.total > context.profile.longest'],
  ['requesting.cedar', '["update", "collect-identity-logs", "release-secret"]', '["update", "release-secret"]'],
  ['requesting.cedar', 'principal.region == context.tenant.region', 'principal.region != "US"'],
  ['requesting.cedar', 'context.profile.reviewed && context', 'context'],
  ['deciding.cedar', 'then principal in context.customerTeams', 'then principal in context.otherTeams'],
  ['deciding.cedar', 'principal.employer != "customer"', 'principal.employer == "provider"'],
  ['ending.cedar', 'context.isHolder || context.isSameHuman', 'context.isHolder'],
  ['ending.cedar', '[Team::"room-leads", Team::"operators"]', '[Team::"operators"]'],
  ['seeing.cedar', '[Team::"operators", Team::"auditors"]', '[Team::"auditors"]'],
  ['profiles/update.json', '"PT2H"', '"PT2H1S"'],
];

for (const [file, piece, replacement] of slips) {
  test(`a case notices \`${replacement}\` in place of \`${piece}\``, () => {
    const tested = testBundle(edited(file, piece, replacement));
    assert.ok(tested.ok && tested.results.some(({ passed }) => !passed));
  });
}

const oneCase = (written: object) => {
  const others = [...shippedFiles.keys()].filter((file) => file.startsWith('tests/') && file !== 'tests/world.json');
  const without = Object.fromEntries(others.map((file) => [file, null]));
  return changed({ ...without, 'tests/one.json': JSON.stringify({ cases: [written] }, null, 1) });
};

test('a case that is missed shows what was expected, what came out, and which policy decided', () => {
  const written = {
    who: 'subcontractor',
    may: 'mint',
    profile: 'update',
    device: 'boardroom',
    expect: 'yes',
    by: ['x'],
  };
  const { text, exitCode, json } = policyTest(oneCase(written));
  assert.equal(exitCode, 1);
  assert.match(text, /^tests\/one\.json\n +3 {2}MISS {2}subcontractor may mint update on boardroom\n/);
  assert.match(text, /expected {2}yes {2}by x\n +actual {4}no {2}by not-for-subcontractors\n/);
  assert.match(text, /\n1 case, 1 not as expected\nsha256:/);
  assert.equal((json as { ok: boolean }).ok, false);
});

test('a case with the right outcome for another reason is missed', () => {
  const written = { who: 'stranger', may: 'request', profile: 'update', device: 'boardroom', expect: 'no' };
  assert.equal(policyTest(oneCase(written)).exitCode, 0);
  assert.equal(policyTest(oneCase({ ...written, by: ['no-policy-permits'] })).exitCode, 0);
  assert.equal(policyTest(oneCase({ ...written, by: ['training-is-valid'] })).exitCode, 1);
});

test('a bundle without cases does not pass', () => {
  const none = new Map([...shippedFiles].filter(([file]) => !file.startsWith('tests/')));
  const { text, exitCode } = policyTest(none);
  assert.equal(exitCode, 1);
  assert.match(text, /\n0 cases/);
});

const badCases: Record<string, [written: object, mistake: RegExp]> = {
  'asks nothing': [{ who: 'lead' }, /^tests\/one\.json:3:3 a case has exactly one of/],
  'asks two things': [{ who: 'lead', may: 'revoke', sees: 'grants', expect: 'no' }, /exactly one of/],
  'speaks of nobody known': [{ who: 'leda', sees: 'grants', expect: [] }, /:4:11 there is no who `leda`/],
  'names a profile there is not': [
    { who: 'lead', may: 'revoke', profile: 'remdiate', tenant: 'contoso', expect: 'no' },
    /there is no profile `remdiate`/,
  ],
  'names a stage that the profile lacks': [
    { who: 'lead', may: 'decide', profile: 'update', stage: 'customer', tenant: 'contoso', expect: 'no' },
    /there is no stage `customer`/,
  ],
  'leaves out what the question needs': [
    { who: 'lead', may: 'decide', profile: 'update', expect: 'no' },
    /`decide` needs `stage` and `tenant`/,
  ],
  'expects what cannot come out': [{ who: 'lead', sees: 'grants', expect: 'yes' }, /`expect` must be a list/],
  'has a member that is not known': [
    { who: 'lead', sees: 'grants', expcet: [] },
    /has `expcet`, which is not known here/,
  ],
};

for (const [what, [written, mistake]] of Object.entries(badCases)) {
  test(`a case is refused that ${what}`, () => {
    const { text, exitCode } = policyCheck(oneCase(written));
    assert.equal(exitCode, 1);
    assert.ok(
      text.split('\n').some((line) => mistake.test(line)),
      text,
    );
  });
}

test('checking says what the bundle holds, or every mistake with its place and how many there are', () => {
  const good = policyCheck(shippedFiles);
  assert.match(good.text, /^no mistakes: \d+ policies, 7 profiles, \d+ cases\nsha256:[0-9a-f]{64}\n$/);
  assert.equal(good.exitCode, 0);
  const bad = policyCheck(changed({ 'x.cedar': 'permit (', 'profiles/x.json': '{', 'tests/x.json': '[' }));
  assert.match(
    bad.text,
    /^profiles\/x\.json:1:2 .*\ntests\/x\.json:1:2 .*\nx\.cedar:1:9 .*\n\n3 mistakes in 3 files\n$/,
  );
  assert.equal((bad.json as { mistakes: unknown[] }).mistakes.length, 3);
  assert.equal(bad.exitCode, 1);
});

test('the examples of the documentation are good', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/policy.md'), 'utf8');
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(
    ([, language, block]) => [language, block!] as const,
  );
  const policy = blocks.find(([language]) => language === 'cedar')![1];
  const [profile, cases] = blocks.filter(([language]) => language === 'json').map(([, block]) => block);
  const files = changed({
    'example.cedar': policy,
    'profiles/remote-admin.json': profile!,
    'tests/example.json': `{ "cases": [${cases!.trim().split('\n').join(',')}] }`,
  });
  const tested = testBundle(files);
  assert.ok(tested.ok, policyCheck(files).text);
  const examples = tested.results.filter(({ file }) => file === 'tests/example.json');
  assert.equal(examples.length, 7);
  assert.ok(examples.every(({ passed }) => passed));
});
