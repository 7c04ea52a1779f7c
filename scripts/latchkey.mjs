#!/usr/bin/env node
// The `latchkey` command: of a checkout, whose types are stripped, or of a package, which is compiled. What it loads is
// compiled once for all starts. It is no TypeScript itself: the first such file would load the compiler, which a process
// then keeps in memory.
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

const source = new URL('../src/main.ts', import.meta.url);
const compiled = new URL('../dist/src/main.js', import.meta.url);

// The cache lies beside the code, with those who may write that; where nobody may, everything works without it.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/latchkey', import.meta.url)));
// INVARIANT: sources win, so that a build left lying in a checkout is never run for what it once was.
await import((existsSync(source) ? source : compiled).href);
