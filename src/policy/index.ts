export { loadBundle } from './bundle.ts';
export type { Bundle, LoadedBundle } from './bundle.ts';
export { decide, redecide } from './decide.ts';
export type { Mistake } from './mistake.ts';
export { policyCheck, policyTest } from './report.ts';
export type { Report } from './report.ts';
export type * from './question.ts';
export { decidableTeams, seesNothing, visibility } from './visibility.ts';
