import type { VaultHealth } from './vault.ts';

/** Keeps calls from something that is away: after some failures in a row none goes out for a while, then one alone. */
export interface CircuitBreaker {
  /** @throws what `refuse` makes, at once, while nothing is asked; otherwise what the work throws. */
  run<T>(work: () => Promise<T>): Promise<T>;
  health(): VaultHealth;
}

export interface CircuitBreakerOptions {
  /** Failures in a row after which it opens. */
  readonly failures: number;
  /** Milliseconds of the first pause, which doubles with each failed trial up to the longest. */
  readonly firstPause: number;
  readonly longestPause: number;
  readonly isFailure: (error: unknown) => boolean;
  /** @param wait milliseconds until the next trial. */
  readonly refuse: (wait: number) => Error;
  readonly onChange?: (health: VaultHealth) => void;
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number;
  readonly random?: () => number;
}

export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { failures, firstPause, longestPause, isFailure, refuse, onChange = () => {} } = options;
  const { now = () => performance.now(), random = Math.random } = options;
  let circuit: VaultHealth['circuit'] = 'closed';
  let awaySince: Date | null = null;
  let inRow = 0;
  let pause = firstPause;
  let openUntil = 0;

  const health = (): VaultHealth => ({ circuit, awaySince });
  const become = (next: VaultHealth['circuit']): void => {
    if (next === circuit) return;
    circuit = next;
    onChange(health());
  };
  const succeed = (): void => {
    inRow = 0;
    pause = firstPause;
    awaySince = null;
    become('closed');
  };
  const fail = (wasTrial: boolean): void => {
    awaySince ??= new Date();
    inRow += 1;
    // A call that was on its way when it opened says nothing new.
    if (circuit === 'open' || (!wasTrial && inRow < failures)) return;
    if (wasTrial) pause = Math.min(pause * 2, longestPause);
    // Up to a quarter more or less, so that several brokers do not come back in step.
    openUntil = now() + pause * (0.75 + random() / 2);
    become('open');
  };

  return {
    health,
    async run(work) {
      if (circuit === 'half-open') throw refuse(firstPause);
      const wait = openUntil - now();
      if (circuit === 'open' && wait > 0) throw refuse(wait);
      const isTrial = circuit === 'open';
      if (isTrial) become('half-open');
      try {
        const result = await work();
        succeed();
        return result;
      } catch (error) {
        if (isFailure(error)) fail(isTrial);
        else succeed();
        throw error;
      }
    },
  };
}
