import type { AttemptEvent } from '../attempts/event.ts';
import type { Pace } from '../attempts/pace.ts';
import { KeepLimits, type KeepLimitsPorts } from './keep-limits.ts';
import type { LocatedOrder } from './specs.ts';
import { TimeLimit } from './time-limit.ts';

/** What keeps a running job to what it may use. */
export interface JobWatchPorts extends KeepLimitsPorts {
  /** Between SIGTERM and SIGKILL when a time limit has passed. */
  readonly killGraceMs: number;
}

/** Keeps one job to its limits from its start to its end; tells when it comes to one. */
export class JobWatch {
  readonly #ports: JobWatchPorts;
  readonly #emit: (event: AttemptEvent) => void;
  readonly #over = new AbortController();
  #pace: Pace;
  #timeLimit: TimeLimit | undefined;
  #limits: KeepLimits | undefined;

  constructor(ports: JobWatchPorts, pace: Pace, emit: (event: AttemptEvent) => void) {
    this.#ports = ports;
    this.#pace = pace;
    this.#emit = emit;
  }

  /** Aborted when the job is not watched any more. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** It runs since then (wall clock) in this home. Does nothing once it is over. */
  start(home: string, { order, timeLimitMs }: LocatedOrder, startedAtMs: number): void {
    const { clock, killGraceMs } = this.#ports;
    if (this.#over.signal.aborted) return;
    this.#limits = new KeepLimits(this.#ports, home, order.limits, (limit) => this.#emit({ kind: 'limited', limit }));
    this.#timeLimit = new TimeLimit(clock, timeLimitMs, this.#pace);
    this.#timeLimit.start(startedAtMs, () => this.#emit({ kind: 'time-over', graceMs: killGraceMs }));
  }

  /** It goes slower or faster than before: what is left of its time is another while now. */
  setPace(pace: Pace): void {
    this.#pace = pace;
    this.#timeLimit?.setPace(pace);
  }

  end(): void {
    this.#over.abort(new Error('the job is not watched any more'));
    this.#timeLimit?.cancel();
    this.#limits?.close();
  }
}
