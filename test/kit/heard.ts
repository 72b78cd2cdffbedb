import { onTestFinished } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { words } from '../../node-agent/presence/fuse.ts';
import type { Seen, Signal, SignalReading, Tell } from '../../node-agent/presence/signal.ts';

/**
 * What was told within this time was told at once, in milliseconds, on a machine that runs other tests beside. The limit
 * itself, 500 ms, is the bench's.
 */
export const atOnceMs = 3_000;

/** What a source said, and when. */
export interface Said {
  readonly source: string;
  readonly seen: Seen | undefined;
  /** Since the machine was started, in milliseconds. */
  readonly atMs: number;
}

/** Everything that signals under test have said. */
export class Heard {
  readonly said: Said[] = [];
  readonly #listeners = new Set<() => void>();

  readonly tell: Tell = (source, seen) => {
    this.said.push({ source, seen, atMs: systemClock.sinceBootMs() });
    for (const listener of this.#listeners) listener();
  };

  /** Starts signals that are closed when the test has finished. */
  static of(...signals: readonly Signal[]): Heard {
    const heard = new Heard();
    for (const signal of signals) {
      onTestFinished(() => signal.close());
      signal.start(heard.tell);
    }
    return heard;
  }

  /** What a source says now. */
  now(source: string): SignalReading | undefined {
    return this.said.findLast((one) => one.source === source)?.seen?.reading;
  }

  /** Resolves with the first thing of this kind that `source` says, from number `since` on; `gone` when it leaves. */
  kind(source: string, kind: SignalReading['kind'] | 'gone', since = 0, timeoutMs = 30_000): Promise<Said> {
    return new Promise((resolve, reject) => {
      const finish = (found?: Said) => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        if (found) resolve(found);
        else
          reject(
            new Error(`"${source}" did not become ${kind} within ${timeoutMs} ms; it said:\n${this.#transcript()}`),
          );
      };
      const look = () => {
        const found = this.said
          .slice(since)
          .find((one) => one.source === source && (one.seen?.reading.kind ?? 'gone') === kind);
        if (found) finish(found);
      };
      const timer = setTimeout(() => finish(), timeoutMs);
      this.#listeners.add(look);
      look();
    });
  }

  #transcript(): string {
    return this.said
      .map(
        ({ source, seen, atMs }) =>
          `${Math.round(atMs)} ${source} ${seen ? `${seen.reading.kind}: ${words(seen.reading)}` : 'gone'}`,
      )
      .join('\n');
  }
}
