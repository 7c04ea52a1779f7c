import type { CedarValueJson, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';

/** The names by which a policy reaches into the context: `context.profile.name` is `['profile', 'name']`. */
export type Path = readonly string[];

/**
 * What of the context a policy can read. A path stands for all that lies under it, so `context.profile == …` reads the
 * whole profile and a bare `context` everything.
 */
export function contextReads(policy: PolicyJson): Path[] {
  const paths: Path[] = [];
  for (const { body } of policy.conditions) collect(body, paths);
  return paths;
}

/**
 * The context without what none of the paths reach. The engine spends longer on reading a value than on most policies,
 * and a policy that has no path to a value cannot depend on it.
 */
export function onlyRead(
  context: Record<string, CedarValueJson>,
  paths: readonly Path[],
): Record<string, CedarValueJson> {
  if (paths.some((path) => path.length === 0)) return context;
  const kept = Object.entries(context).flatMap(([name, value]) => {
    const inside = paths.filter((path) => path[0] === name).map((path) => path.slice(1));
    if (inside.length === 0) return [];
    return [[name, isRecord(value) ? onlyRead(value, inside) : value] as const];
  });
  return Object.fromEntries(kept);
}

function isRecord(value: CedarValueJson | undefined): value is Record<string, CedarValueJson> {
  const object = typeof value === 'object' && value !== null && !Array.isArray(value);
  return object && !Object.hasOwn(value, '__entity') && !Object.hasOwn(value, '__extn');
}

function collect(expression: unknown, paths: Path[]): void {
  if (typeof expression !== 'object' || expression === null) return;
  const path = pathOf(expression);
  if (path) {
    paths.push(path);
    return;
  }
  for (const [kind, inner] of Object.entries(expression)) {
    // A record's own names could be taken for kinds of expression.
    if (kind === 'Record') Object.values(inner as object).forEach((value) => collect(value, paths));
    else if (kind !== 'Value') collect(inner, paths);
  }
}

/** The path of a variable or of accesses that start at one; null for every other expression. */
function pathOf(expression: object): Path | null {
  if ('Var' in expression) return expression.Var === 'context' ? [] : null;
  const access = '.' in expression ? expression['.'] : 'has' in expression ? expression.has : null;
  if (typeof access !== 'object' || access === null || !('left' in access) || !('attr' in access)) return null;
  const left = pathOf(access.left as object);
  return left && [...left, ...([access.attr].flat() as string[])];
}
