import type { BatchId } from '../base/ids.ts';
import type { HeadEngine } from './ports.ts';
import type { LogRecord } from './scheduler/event.ts';

/** Tells those who wait for it that something has happened to a batch. One subscription, however many wait. */
export class Changes {
  readonly #waiting = new Map<BatchId | 'anything', Set<() => void>>();
  readonly #unsubscribe: () => void;

  constructor(engine: Pick<HeadEngine, 'subscribe'>) {
    this.#unsubscribe = engine.subscribe((records) => this.#hear(records));
  }

  /**
   * A bell that rings when something happens to the batch. Take it before looking, so that nothing is missed between;
   * give it back with `close`.
   */
  bell(batchId: BatchId): Bell {
    return this.#hang(batchId);
  }

  /** A bell that rings when anything at all happens. */
  anything(): Bell {
    return this.#hang('anything');
  }

  close(): void {
    this.#unsubscribe();
    for (const listeners of this.#waiting.values()) for (const ring of listeners) ring();
  }

  #hang(key: BatchId | 'anything'): Bell {
    const listeners = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, listeners);
    const bell = new Bell(() => {
      listeners.delete(ring);
      if (listeners.size === 0 && this.#waiting.get(key) === listeners) this.#waiting.delete(key);
    });
    const ring = () => bell.ring();
    listeners.add(ring);
    return bell;
  }

  #hear(records: readonly LogRecord[]): void {
    if (this.#waiting.size === 0) return;
    const changed = new Set<BatchId | 'anything'>(['anything']);
    for (const { event } of records) {
      if ('batchId' in event) changed.add(event.batchId);
      else if ('attempt' in event) changed.add(event.attempt.batchId);
    }
    for (const batchId of changed) for (const ring of this.#waiting.get(batchId) ?? []) ring();
  }
}

/** Rings are remembered until someone waits; several are one. */
export class Bell {
  readonly #close: () => void;
  #rung = false;
  #resume: (() => void) | undefined;

  constructor(close: () => void) {
    this.#close = close;
  }

  ring(): void {
    this.#rung = true;
    this.#resume?.();
  }

  /** Resolves at the next ring, at once when there was one, or when the signal is aborted. */
  async next(signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#resume = wake;
        signal.addEventListener('abort', wake, { once: true });
      });
      this.#resume = undefined;
    }
    this.#rung = false;
  }

  close(): void {
    this.#close();
  }
}
