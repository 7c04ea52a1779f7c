import { dirname, join } from 'node:path/posix';

/** The floors of `src/` and what each may import of the others (docs/architecture.md). A file in no folder is the top. */
export const floors: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  policy: ['domain'],
  ledger: ['domain'],
  store: ['domain', 'ledger'],
  credentials: ['domain', 'ledger'],
  broker: ['domain', 'policy', 'ledger', 'store', 'credentials'],
  http: ['domain', 'policy', 'ledger', 'store', 'credentials', 'broker'],
  console: [],
  agent: ['domain', 'ledger'],
  cli: ['domain', 'ledger', 'agent'],
  witness: ['domain', 'ledger'],
  development:
    'domain policy ledger store credentials broker http console agent cli witness config.ts serve.ts log.ts metrics.ts'.split(
      ' ',
    ),
};

/** Floors without I/O and without a clock: what they decide follows from what they are given. */
const pure = ['domain', 'policy', 'ledger'];

/** Each package that `src/` uses, and the floors it stays on. A new one finds its place here first, or nowhere. */
const packages: Readonly<Record<string, readonly string[]>> = {
  // All the SQL is in the store; development also makes the roles and databases that a store connects to.
  pg: ['store', 'development'],
  'node-pg-migrate': ['store'],
  // Use cases know nothing of HTTP, so that every edge can call them.
  express: ['http'],
  helmet: ['http'],
  // Whoever holds a key asks the credentials floor to use it.
  '@azure/identity': ['credentials'],
  '@azure/keyvault-secrets': ['credentials'],
  // What is allowed is decided in one place.
  '@cedar-policy/cedar-wasm': ['policy'],
  // JOSE is arithmetic on what it is given, so it may stand wherever a token is made or checked.
  jose: ['domain', 'credentials', 'broker', 'http', 'agent', 'cli', 'development'],
  ajv: ['policy', 'http', 'agent', 'config.ts'],
  typebox: ['policy', 'http', 'agent', 'config.ts'],
  commander: ['cli', 'main.ts'],
  pino: ['log.ts'],
  // Nobody below knows that figures are kept.
  'prom-client': ['metrics.ts'],
  'oidc-provider': ['development'],
};

/** Words that only some floors may use, and why. */
const confinedWords = [
  {
    // Configuration is read once; `main` hands the environment on to the command line, which has none of its own.
    pattern: /\bprocess\.env\b|\bprocess\[|from 'node:process'/g,
    allowed: ['config.ts', 'main.ts', 'development'],
    complaint: 'reads the environment, which `config.ts` does for all',
  },
  {
    // Floors below say what happened by what they return; a server's words go through its log.
    pattern: /\bconsole\./g,
    allowed: ['cli', 'development', 'programs.ts', 'main.ts'],
    complaint: 'writes to the console, which is for the command line and development',
  },
  {
    pattern:
      /\bDate\.now\(|\bnew Date\(\)|\bperformance\b|\bMath\.random\(|\bset(?:Timeout|Interval)\(|\bfetch\(|\bprocess\./g,
    allowed: [
      ...Object.keys(floors).filter((floor) => !pure.includes(floor)),
      'config.ts',
      'serve.ts',
      'log.ts',
      'metrics.ts',
      'memory.ts',
      'programs.ts',
      'main.ts',
    ],
    complaint: 'has a clock, chance or I/O of its own on a pure floor: take it as a parameter',
  },
  {
    pattern: /\bcreateRequire\b|\brequire\(|\bimport\s*\(\s*[^'"\s]/g,
    allowed: [],
    complaint: 'imports something that cannot be read off the line',
  },
] as const;

interface Import {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
}

/**
 * Everything in the files that breaks the house's rules, each as `src/FILE:LINE: what is wrong`, then each circle of
 * imports spelled out. `import type` and `import()` count like any other import.
 * @param files text by path below `src/`.
 */
export function findOffences(files: ReadonlyMap<string, string>): string[] {
  const code = [...files].map(([file, text]) => [file, withoutComments(text)] as const);
  const imports = code.flatMap(([file, text]) => readImports(file, text));
  return [
    ...[...files.keys()].filter((file) => !isKnown(floorOf(file))).map((file) => `src/${file}:1: is on no known floor`),
    ...imports.flatMap((found) => judge(found).map((complaint) => `${place(found)}: ${complaint}`)),
    ...code.flatMap(([file, text]) => findWords(file, text)),
    ...findCircles(imports).map((circle) => `imports go in a circle: ${circle.join(' → ')}`),
  ];
}

/** The folder that a file is in, or its own name at the top. */
function floorOf(file: string): string {
  return file.split('/')[0]!;
}

function isKnown(floor: string): boolean {
  return floor in floors || isTop(floor);
}

function isTop(floor: string): boolean {
  return ['main.ts', 'serve.ts', 'log.ts', 'metrics.ts', 'memory.ts', 'programs.ts', 'config.ts'].includes(floor);
}

/** Blanks out the lines that are comments, so that line numbers stay. */
function withoutComments(text: string): string {
  return text.replace(/^\s*(?:\/\/|\/?\*).*$/gm, '');
}

/** The formatter puts the end of every import and re-export on a line that starts with one of three words. */
function readImports(file: string, text: string): Import[] {
  const patterns = [
    /^(?:import|export|\})[^'"\n]*\bfrom\s+['"]([^'"]+)['"]/gm,
    /^import\s+['"]([^'"]+)['"]/gm,
    /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
  ];
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => ({ file, line: lineOf(text, match.index), specifier: match[1]! })),
  );
}

function judge({ file, specifier }: Import): string[] {
  const from = floorOf(file);
  if (specifier.startsWith('.')) {
    const target = resolve(file, specifier);
    if (target === '../package.json') return [];
    if (target.startsWith('../')) return [`\`${specifier}\` lies outside of src/`];
    const to = floorOf(target);
    if (to === from || isTop(from) || floors[from]?.includes(to)) return [];
    return [`\`${from}\` may not import \`${to}\` (\`${specifier}\`)`];
  }
  if (specifier.startsWith('node:')) {
    const isFine = !pure.includes(from) || specifier === 'node:crypto';
    return isFine ? [] : [`\`${specifier}\` has no place on a pure floor`];
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  const homes = packages[name];
  if (!homes) return [`package \`${name}\` has no floor yet: give it one in test/support/floors.ts`];
  return homes.includes(from) ? [] : [`package \`${name}\` stays in ${homes.map((home) => `\`${home}\``).join(', ')}`];
}

function findWords(file: string, text: string): string[] {
  return confinedWords
    .filter(({ allowed }) => !(allowed as readonly string[]).includes(floorOf(file)))
    .flatMap(({ pattern, complaint }) =>
      [...text.matchAll(pattern)].map((match) => `src/${file}:${lineOf(text, match.index)}: ${complaint}`),
    );
}

/** One circle for each import that leads back to a file on the way to it, the shortest first. */
function findCircles(imports: readonly Import[]): string[][] {
  const targets = Map.groupBy(imports, ({ file }) => file);
  const finished = new Set<string>();
  const circles: string[][] = [];
  const visit = (file: string, way: readonly string[]): void => {
    const seen = way.indexOf(file);
    if (seen >= 0) circles.push([...way.slice(seen), file]);
    if (seen >= 0 || finished.has(file)) return;
    for (const { specifier } of targets.get(file) ?? []) {
      if (specifier.startsWith('.')) visit(resolve(file, specifier), [...way, file]);
    }
    finished.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return circles.sort((a, b) => a.length - b.length);
}

/** The path from `src/` that a relative import means. */
function resolve(file: string, specifier: string): string {
  return join(dirname(file), specifier);
}

function place({ file, line }: Import): string {
  return `src/${file}:${line}`;
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
