import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');

/** Sweeps the heap: what one measurement has left lying is not swept at the cost of the next. */
export const sweep = runInNewContext('gc') as () => void;
