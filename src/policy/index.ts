export { loadBundle } from './bundle.ts';
export type { Bundle, LoadedBundle } from './bundle.ts';
export { decide, redecide } from './decide.ts';
export type { Mistake } from './mistake.ts';
export type * from './question.ts';
export { decidableTeams, seesNothing, visibility } from './visibility.ts';
