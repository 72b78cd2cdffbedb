import type { Clock, Timer } from '../../base/clock.ts';
import type { LimitName } from '../attempts/attempt.ts';
import { watchAfterMs } from '../attempts/limits.ts';
import type { Executor, ProcessLimits } from '../ports.ts';
import type { DiskWatch } from './disk-watch.ts';

/** What keeps a running job to its limits. */
export interface KeepLimitsPorts {
  readonly clock: Clock;
  readonly executor: Executor;
  readonly disk: Pick<DiskWatch, 'watch'>;
}

/** Tells when a running job comes to one of its limits; begins only when it has run for a while. */
export class KeepLimits {
  readonly #timer: Timer;
  readonly #watches: { close(): void }[] = [];

  constructor(ports: KeepLimitsPorts, home: string, limits: ProcessLimits, tell: (limit: LimitName) => void) {
    this.#timer = ports.clock.setTimer(watchAfterMs, () => {
      this.#watches.push(
        ports.disk.watch(home, limits.diskBytes, () => tell('disk')),
        ports.executor.watchLimits(home, limits, tell),
      );
    });
  }

  close(): void {
    this.#timer.cancel();
    for (const watch of this.#watches.splice(0)) watch.close();
  }
}
