import type { Clock, Timer } from '../../base/clock.ts';
import { deferred } from '../../base/deferred.ts';
import { harmlessLine } from '../../base/harmless.ts';
import type { Log } from '../../base/log.ts';
import { type Fused, fuse, words } from './fuse.ts';
import type { Place, Seen, Signal, SignalReading } from './signal.ts';

/** The verdict on the desk, and since when it says so. */
export interface PresenceVerdict extends Fused {
  /** Since when `present` has been what it is, in milliseconds since the machine was started. */
  readonly sinceMs: number;
}

/** A helper that runs in somebody's desktop session and reports its signals. */
export interface HelperId {
  /** Names the connection; a helper that comes again has another. */
  readonly id: string;
  readonly uid: number;
}

/** Watches who is at the desk. */
export interface PresenceWatch {
  /** As of now. */
  current(): PresenceVerdict;
  /** Resolves when every signal has said something, or has had time enough to. */
  answered(): Promise<void>;
  /** Calls `listener` whenever the verdict, its reason or the last activity changes; the answer ends that. */
  onChange(listener: (verdict: PresenceVerdict) => void): () => void;
  /** How long nobody must have acted to count as away, in milliseconds; from now on. */
  setAwayAfter(awayAfterMs: number): void;
  /** What a helper's signal says; nothing when that signal is gone. What no helper may claim is dropped. */
  feed(helper: HelperId, source: string, said: Seen | undefined): void;
  /** The helper is gone, and all it said with it: logind and the displays tell whether its session still is there. */
  lost(helper: HelperId): void;
  close(): Promise<void>;
}

export interface PresenceParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly signals: readonly Signal[];
  readonly awayAfterMs: number;
}

/** Most sources that one helper may have, and longest text of each, in characters. */
const sourcesMax = 16;
const textMax = 200;
/** How long an agent that starts waits for its signals, in milliseconds: what runs stays meanwhile as it is. */
const answerMaxMs = 2_000;
/** The source that stands for all that are gone. */
const earlier = 'earlier';

/** Starts all signals. Until each has said something, a person may sit unseen. */
export function openPresence(parts: PresenceParts): PresenceWatch {
  return new Watch(parts);
}

class Watch implements PresenceWatch {
  readonly #parts: PresenceParts;
  readonly #sources = new Map<string, Seen>();
  /** Names in `#sources` that a helper brought, by its id. */
  readonly #helpers = new Map<string, Set<string>>();
  readonly #listeners = new Set<(verdict: PresenceVerdict) => void>();
  /** Names of signals that have said nothing yet. */
  readonly #awaited: Set<string>;
  readonly #answered = deferred<void>();
  #awayAfterMs: number;
  #verdict: PresenceVerdict;
  #timer: Timer | undefined;

  constructor(parts: PresenceParts) {
    this.#parts = parts;
    this.#awayAfterMs = parts.awayAfterMs;
    const reading: SignalReading = { kind: 'unknown', why: 'has not answered yet', places: [] };
    for (const { name } of parts.signals) this.#sources.set(name, { reading, sees: [] });
    this.#awaited = new Set(this.#sources.keys());
    const nowMs = parts.clock.sinceBootMs();
    this.#verdict = { ...fuse(this.#sources, nowMs, this.#awayAfterMs), sinceMs: nowMs };
    for (const signal of parts.signals) signal.start((source, said) => this.#takeOwn(source, said));
  }

  async answered(): Promise<void> {
    if (this.#awaited.size === 0) return;
    const timer = this.#parts.clock.setTimer(answerMaxMs, () => this.#answered.resolve());
    await this.#answered.promise;
    timer.cancel();
  }

  current(): PresenceVerdict {
    this.#judge();
    return this.#verdict;
  }

  onChange(listener: (verdict: PresenceVerdict) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  setAwayAfter(awayAfterMs: number): void {
    this.#awayAfterMs = awayAfterMs;
    this.#judge();
  }

  feed(helper: HelperId, source: string, said: Seen | undefined): void {
    const names = this.#helpers.get(helper.id) ?? new Set<string>();
    this.#helpers.set(helper.id, names);
    const name = `helper ${helper.id} (uid ${helper.uid}): ${short(source)}`;
    if (said === undefined) names.delete(name);
    else if (names.size < sourcesMax || names.has(name)) names.add(name);
    else return;
    this.#take(name, said === undefined ? undefined : claimable(said, helper.uid, this.#parts.clock.sinceBootMs()));
  }

  lost(helper: HelperId): void {
    for (const name of this.#helpers.get(helper.id) ?? []) {
      this.#remember(name, undefined);
      this.#sources.delete(name);
    }
    this.#helpers.delete(helper.id);
    this.#judge();
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#listeners.clear();
    await Promise.all(this.#parts.signals.map((signal) => signal.close()));
  }

  #takeOwn(source: string, said: Seen | undefined): void {
    const before = this.#sources.get(source)?.reading.kind;
    if (said?.reading.kind === 'failed' && before !== 'failed') {
      this.#parts.log.warn({ signal: source, why: words(said.reading) }, 'a signal of presence does not work');
    }
    this.#take(source, said);
    if (this.#awaited.delete(source) && this.#awaited.size === 0) this.#answered.resolve();
  }

  #take(source: string, said: Seen | undefined): void {
    this.#remember(source, said);
    if (said === undefined) this.#sources.delete(source);
    else this.#sources.set(source, said);
    this.#judge();
  }

  /** Whoever logs out, closes a terminal or unplugs a keyboard was there until then: the latest such end is kept. */
  #remember(source: string, next: Seen | undefined): void {
    const nowMs = this.#parts.clock.sinceBootMs();
    const before = this.#sources.get(source)?.reading;
    const lastActiveMs = activityOf(before, nowMs);
    if (before === undefined || lastActiveMs === undefined || activityOf(next?.reading, nowMs) !== undefined) return;
    const known = activityOf(this.#sources.get(earlier)?.reading, nowMs);
    if (known !== undefined && known >= lastActiveMs) return;
    const detail = `${source}: ${words(before)}`;
    this.#sources.set(earlier, { reading: { kind: 'idle', lastActiveMs, detail }, sees: [] });
  }

  #judge(): void {
    const nowMs = this.#parts.clock.sinceBootMs();
    const before = this.#verdict;
    const fused = fuse(this.#sources, nowMs, this.#awayAfterMs);
    this.#verdict = { ...fused, sinceMs: fused.present === before.present ? before.sinceMs : nowMs };
    this.#setTimer(nowMs);
    if (isNews(before, fused)) for (const listener of this.#listeners) listener(this.#verdict);
  }

  /** The one thing that changes by time alone: whoever was there is away. */
  #setTimer(nowMs: number): void {
    this.#timer?.cancel();
    const { present, now, lastActivityMs } = this.#verdict;
    const dueMs = present && !now && lastActivityMs !== undefined ? lastActivityMs + this.#awayAfterMs : undefined;
    this.#timer = dueMs === undefined ? undefined : this.#parts.clock.setTimer(dueMs - nowMs, () => this.#judge());
  }
}

/** The last activity that a reading knows of; nothing when it knows none. */
function activityOf(reading: SignalReading | undefined, nowMs: number): number | undefined {
  if (reading?.kind === 'idle') return reading.lastActiveMs;
  return reading?.kind === 'active' || reading?.kind === 'busy' ? nowMs : undefined;
}

function isNews(before: Fused, after: Fused): boolean {
  return (
    before.present !== after.present ||
    before.now !== after.now ||
    before.why !== after.why ||
    // While somebody acts, the last activity is now, and that is no news.
    (!after.now && before.lastActivityMs !== after.lastActivityMs)
  );
}

/** What a person's helper may say: of their own sessions and displays, never of the machine, and nothing of the future. */
function claimable({ reading, sees }: Seen, uid: number, nowMs: number): Seen {
  const own = (places: readonly Place[]) => places.filter((place) => isOf(uid, place)).slice(0, sourcesMax);
  const said = checked(reading, nowMs);
  return { reading: said.kind === 'unknown' ? { ...said, places: own(said.places) } : said, sees: own(sees) };
}

function checked(reading: SignalReading, nowMs: number): SignalReading {
  switch (reading.kind) {
    case 'active':
      return { ...reading, sinceMs: Math.min(reading.sinceMs, nowMs), detail: short(reading.detail) };
    case 'idle':
      return { ...reading, lastActiveMs: Math.min(reading.lastActiveMs, nowMs), detail: short(reading.detail) };
    case 'busy':
      return { ...reading, sinceMs: Math.min(reading.sinceMs, nowMs), what: short(reading.what) };
    default:
      return { ...reading, why: short(reading.why) };
  }
}

function isOf(uid: number, place: Place): boolean {
  return [`session ${uid}/`, `display ${uid}/`, 'display 0/'].some((beginning) => place.startsWith(beginning));
}

function short(text: string): string {
  return harmlessLine(text).slice(0, textMax);
}
