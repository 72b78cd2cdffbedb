import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Seen } from './decide-yield.ts';

/** What other programs want of this machine, besides the person's attention. */
export type StrainName = 'memory' | 'load' | 'gpu';

/**
 * Looks once whether other programs want something of the machine; a sentence when they do, always the same: each other one is
 * an event at the head.
 */
export type Probe = () => Promise<string | undefined>;

/** What a watch of strain needs. */
export interface StrainParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly probes: Readonly<Record<StrainName, Probe>>;
  /** Which of them matter now: none while no job runs, and those that the policy names. */
  wanted(): ReadonlySet<StrainName>;
  /** Something is wanted that was not, or no longer. */
  changed(): void;
}

/** None of these tells of itself to an ordinary account; looking costs a file or a program. In milliseconds. */
const lookEveryMs = 5_000;
/** After a look so many times what it took must pass, but no more than this: a driver's program, or thousands of processes, are not free. */
const restFactor = 1_000;
const restMaxMs = 60_000;
const never: Seen = { lastMs: undefined, why: '' };

/** Watches what other programs want while jobs are in their way, and only then. */
export class StrainWatch {
  readonly #parts: StrainParts;
  readonly #seen = new Map<StrainName, Seen>();
  readonly #failed = new Set<StrainName>();
  /** When each may be looked at again, on the monotonic clock. */
  readonly #dueMs = new Map<StrainName, number>();
  /** Since when memory has been short without a pause. */
  #memoryShortSinceMs: number | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #closed = false;

  constructor(parts: StrainParts) {
    this.#parts = parts;
  }

  seen(name: StrainName): Seen {
    return this.#seen.get(name) ?? never;
  }

  /** Wall clock; nothing while memory suffices. */
  get memoryShortSinceMs(): number | undefined {
    return this.#memoryShortSinceMs;
  }

  /** Something else may matter now. */
  look(): void {
    if (this.#closed || this.#looking || this.#timer || this.#parts.wanted().size === 0) return;
    this.#looking = this.#lookOnce();
    background(this.#looking);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  async #lookOnce(): Promise<void> {
    const { clock, probes, wanted, changed } = this.#parts;
    let isNews = false;
    const names = wanted();
    // Nobody asks any more since when memory is short: that it was is no reason to send jobs away.
    if (!names.has('memory')) this.#memoryShortSinceMs = undefined;
    // What was so when it was last asked about is over: else it would be so for as long as something else is asked about.
    for (const [name, { lastMs, why }] of this.#seen) {
      if (names.has(name) || lastMs !== Number.POSITIVE_INFINITY) continue;
      this.#seen.set(name, { lastMs: clock.nowMs(), why });
      isNews = true;
    }
    for (const name of names) {
      const beganMs = clock.monotonicMs();
      if (beganMs < (this.#dueMs.get(name) ?? 0)) continue;
      const why = await this.#ask(name, probes[name]);
      const endedMs = clock.monotonicMs();
      this.#dueMs.set(name, endedMs + Math.min(restMaxMs, (endedMs - beganMs) * restFactor));
      const before = this.seen(name);
      const is = why !== undefined;
      if (name === 'memory') this.#memoryShortSinceMs = is ? (this.#memoryShortSinceMs ?? clock.nowMs()) : undefined;
      const was = before.lastMs === Number.POSITIVE_INFINITY;
      if (is) this.#seen.set(name, { lastMs: Number.POSITIVE_INFINITY, why });
      else if (was) this.#seen.set(name, { lastMs: clock.nowMs(), why: before.why });
      isNews ||= is !== was;
    }
    this.#looking = undefined;
    if (this.#closed) return;
    if (isNews) changed();
    if (wanted().size > 0) {
      this.#timer = clock.setTimer(lookEveryMs, () => {
        this.#timer = undefined;
        this.look();
      });
    } else this.#rest();
  }

  /** Nothing is in anybody's way: what was so a moment ago is over now. */
  #rest(): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const [name, { lastMs, why }] of this.#seen)
      if (lastMs === Number.POSITIVE_INFINITY) this.#seen.set(name, { lastMs: nowMs, why });
    this.#memoryShortSinceMs = undefined;
    this.#parts.changed();
  }

  async #ask(name: StrainName, probe: Probe): Promise<string | undefined> {
    try {
      const why = await probe();
      this.#failed.delete(name);
      return why;
    } catch (error) {
      // Once: it fails alike every few seconds. What cannot be seen starts nothing.
      if (!this.#failed.has(name))
        this.#parts.log.warn({ strain: name, error: messageOf(error) }, 'cannot see how busy this machine is');
      this.#failed.add(name);
      return undefined;
    }
  }
}
