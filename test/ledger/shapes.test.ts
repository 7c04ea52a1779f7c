import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shapeOf } from '../../src/ledger/audit/shapes.ts';
import { canonicalJson } from '../../src/ledger/canonical.ts';
import { everyFact, sampleEvent } from '../support/every-fact.ts';

type Json = { [name: string]: unknown };

/** As an audit reads it: from canonical JSON, so with its members in order. */
const read = (value: unknown): Json => JSON.parse(canonicalJson(value)) as Json;

/** All objects within a value, itself first, each as the names that lead to it. */
function objectsIn(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [];
  const within = Object.entries(value).flatMap(([name, member]) => objectsIn(member, [...path, name]));
  return Array.isArray(value) ? within : [path, ...within];
}

/** The value, with what one of its objects holds replaced. */
function changed(value: unknown, [name, ...rest]: readonly string[], change: (object: Json) => Json): unknown {
  if (name === undefined) return change(value as Json);
  const copy: Json | unknown[] = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as Json) };
  (copy as Json)[name] = changed((value as Json)[name], rest, change);
  return copy;
}

for (const event of Object.values(everyFact).map(sampleEvent)) {
  test(`an event of the type \`${event.type}\` has its members and no others, at every depth`, () => {
    assert.deepEqual(shapeOf(read(event)), { known: true, wrong: null });
    for (const path of objectsIn(event)) {
      // Of the members of what was narrowed, any may be absent.
      const named =
        path.at(-1) === 'narrow'
          ? []
          : Object.keys(path.reduce<Json>((at, name) => at[name] as Json, event as unknown as Json));
      for (const name of named) {
        if (path.length === 0 && name === 'type') continue;
        const without = changed(event, path, (object) => ({ ...object, [name]: undefined }));
        assert.equal(shapeOf(read(without)).wrong, path[0] ?? name, `without ${[...path, name].join('.')}`);
      }
      for (const foreign of ['', 'aaa', 'mmm', 'zzz']) {
        const more = changed(event, path, (object) => ({ ...object, [foreign]: 1 }));
        assert.equal(shapeOf(read(more)).wrong, path[0] ?? foreign, `with \`${[...path, foreign].join('.')}\``);
      }
    }
  });
}
