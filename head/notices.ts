import type { Log } from '../base/log.ts';

/** Something that is wrong and that somebody should know of. */
export interface Notice {
  readonly text: string;
  readonly sinceMs: number;
  /** Only those who may read it are told; missing: everyone is. */
  readonly namespace?: string | undefined;
}

/** Notices kept; what comes beyond is in the log alone. */
const noticesMax = 1_000;

/** What the head has noticed: each is logged once, and shown by `labrun status` until it is no longer so. */
export class Notices {
  readonly #notices = new Map<string, Notice>();
  readonly #log: Log;
  readonly #nowMs: () => number;

  constructor(log: Log, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Says it, unless the same has been said under this key. */
  say(key: string, text: string, namespace?: string): void {
    const before = this.#notices.get(key);
    if (before?.text === text) return;
    this.#log.warn({ notice: key }, text);
    if (before || this.#notices.size < noticesMax) this.#notices.set(key, { text, sinceMs: this.#nowMs(), namespace });
  }

  /** It is still so, in other words, such as with a figure that has changed: nothing new for the log. */
  amend(key: string, text: string): void {
    const notice = this.#notices.get(key);
    if (notice) this.#notices.set(key, { ...notice, text });
  }

  /** It is no longer so. */
  unsay(key: string): void {
    this.#notices.delete(key);
  }

  /** Oldest first. */
  list(): readonly Notice[] {
    return [...this.#notices.values()];
  }
}
