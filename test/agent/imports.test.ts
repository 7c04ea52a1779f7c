import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Every module that is loaded with the given one, and every package that they name. */
function importsOf(entry: URL): { readonly files: Set<string>; readonly packages: Set<string> } {
  const [files, packages] = [new Set<string>(), new Set<string>()];
  const visit = (file: URL): void => {
    if (files.has(file.href)) return;
    files.add(file.href);
    const text = readFileSync(fileURLToPath(file), 'utf8');
    const named = text.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^']+)';|\bimport\(\s*'([^']+)'/gm);
    for (const [, fixed, later] of named) {
      const name = (fixed ?? later)!;
      if (name.startsWith('.')) visit(new URL(name, file));
      else if (!isBuiltin(name)) packages.add(name);
    }
  };
  visit(entry);
  return { files, packages };
}

test('a third party that guards its door with the library gets jose, and nothing else', () => {
  const { files, packages } = importsOf(new URL('../../src/agent/index.ts', import.meta.url));
  assert.ok(files.size > 20, 'the sources were not found');
  assert.deepEqual([...packages], ['jose']);
  const floors = new Set([...files].map((file) => /\/src\/(\w+)\//.exec(file)![1]!));
  assert.deepEqual([...floors].sort(), ['agent', 'domain', 'ledger']);
});
