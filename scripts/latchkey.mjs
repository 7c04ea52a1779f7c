#!/usr/bin/env node
// The `latchkey` command of a checkout. What it loads is compiled, and its types are stripped, once for all starts. It is
// no TypeScript itself: the first such file would load the compiler, which a process then keeps in memory.
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// The cache lies beside the code, with those who may write that; where nobody may, everything works without it.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/latchkey', import.meta.url)));
await import('../src/main.ts');
