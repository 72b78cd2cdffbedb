import type { Clock, Timer } from '../base/clock.ts';
import { messageOf, type Refusal, RefusedError, refused } from '../base/errors.ts';
import type { Actor } from './scheduler/actor.ts';
import { apply } from './scheduler/apply.ts';
import type { Command, Verdict } from './scheduler/command.ts';
import { nextDeadlineMs } from './scheduler/deadline.ts';
import { decide } from './scheduler/decide.ts';
import type { ClusterDraft } from './scheduler/draft.ts';
import type { Event, LogRecord } from './scheduler/event.ts';
import { place } from './scheduler/place.ts';
import type { ClusterState } from './scheduler/state.ts';

/** Where records become durable. `append` resolves when they are on disk, in order. */
export interface LogPort {
  append(records: readonly LogRecord[]): Promise<void>;
}

/** What an engine is built from. */
export interface EngineOptions {
  readonly clock: Clock;
  readonly log: LogPort;
  /** As the log left it; the engine owns it from now on. */
  readonly draft: ClusterDraft;
  /** Why state may not grow: too little room on the disk. Asked before each turn. */
  readonly diskProblem: () => Refusal | undefined;
  /** Memory is ahead of the disk, or an assertion failed: the process must end without answering. */
  readonly onFatal: (error: unknown) => void;
}

/** Called with records that are durable, in order, before their commands are answered to anyone else. */
export type RecordListener = (records: readonly LogRecord[], state: ClusterState) => void;

/**
 * Requests waiting in the inbox from which on people's are refused with `busy`. What nodes tell and the head itself does is
 * taken all the same: their number is bounded where they come from, and whoever sent them would wait for what follows.
 */
export const inboxMax = 10_000;
/** Requests taken into one turn at most. */
const groupMax = 2_000;

/** Commands that make state grow; they are refused while the disk is full. Those that end or free things go on. */
const growing: ReadonlySet<Command['kind']> = new Set(['submit', 'extend']);

const scheduler: Actor = { kind: 'system', name: 'scheduler' };

type Request =
  | {
      readonly kind: 'command';
      readonly actor: Actor;
      readonly command: Command;
      readonly answer: (verdict: Verdict) => void;
    }
  | { readonly kind: 'query'; readonly read: (state: ClusterState) => void };

/**
 * One turn at a time: take what waits, decide and apply in memory, write every event in one synced batch, and only then
 * answer, publish and dispatch. While memory is ahead of the disk nothing leaves.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #draft: ClusterDraft;
  readonly #listeners = new Set<RecordListener>();
  readonly #startMonotonicMs: number;
  readonly #startMs: number;
  #inbox: Request[] = [];
  #turn: Promise<void> | undefined;
  #timer: Timer | undefined;
  /** For which it is set. */
  #deadlineMs: number | undefined;
  #closed = false;
  /** The head's time at the last turn. */
  #turnMs = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#draft = options.draft;
    // The head's time never goes back, whatever the wall clock did while it was down.
    this.#startMs = Math.max(options.clock.nowMs(), options.draft.atMs);
    this.#startMonotonicMs = options.clock.monotonicMs();
  }

  /** The head's time, in milliseconds since 1970. */
  nowMs(): number {
    return Math.floor(this.#startMs + this.#options.clock.monotonicMs() - this.#startMonotonicMs);
  }

  /** Asks for a change. Resolves when its events are on disk, or with why not. */
  submit(actor: Actor, command: Command): Promise<Verdict> {
    if (this.#closed)
      return Promise.resolve(refused('busy', 'Cannot take the request: the head is stopping; try again'));
    if (actor.kind === 'user' && this.#inbox.length >= inboxMax) return Promise.resolve(tooMany);
    return new Promise((answer) => this.#take({ kind: 'command', actor, command, answer }));
  }

  /**
   * Reads between turns: what is read is on disk. `read` must not keep what it sees. Rejects with `busy` when the engine is
   * closed and, for those who would rather be refused than wait, when too many wait.
   */
  query<T>(read: (state: ClusterState) => T, whenFull: 'wait' | 'refuse' = 'wait'): Promise<T> {
    return new Promise((resolve, reject) => {
      const answer = (state: ClusterState) => {
        try {
          resolve(read(state));
        } catch (error) {
          reject(error);
        }
      };
      if (this.#turn === undefined && this.#inbox.length === 0) answer(this.#draft);
      else if (this.#closed || (whenFull === 'refuse' && this.#inbox.length >= inboxMax))
        reject(new RefusedError(tooMany));
      else this.#take({ kind: 'query', read: answer });
    });
  }

  /** Hears of every durable record from now on. Answers how to stop. */
  subscribe(listener: RecordListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Finishes the turn in progress and takes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#turn;
  }

  #take(request: Request): void {
    this.#inbox.push(request);
    this.#turn ??= Promise.resolve().then(() => this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (this.#inbox.length > 0) {
        const group = this.#inbox.length <= groupMax ? this.#inbox : this.#inbox.slice(0, groupMax);
        this.#inbox = this.#inbox.length <= groupMax ? [] : this.#inbox.slice(groupMax);
        await this.#takeTurn(group);
        // Not only when nothing waits any more: where there is much to do that moment may not come for long.
        this.#setTimer();
      }
      this.#turn = undefined;
    } catch (error) {
      // Nobody is answered: a restart reads what the disk holds.
      this.#closed = true;
      this.#options.onFatal(error);
    }
  }

  async #takeTurn(group: readonly Request[]): Promise<void> {
    const nowMs = this.nowMs();
    this.#turnMs = nowMs;
    const records: LogRecord[] = [];
    const answers: (() => void)[] = [];
    const commit = (actor: Actor, event: Event) => {
      const record: LogRecord = { seq: this.#draft.seq + 1, atMs: nowMs, actor, event };
      apply(this.#draft, record);
      records.push(record);
    };
    const full = this.#options.diskProblem();
    for (const request of group) {
      if (request.kind === 'query') {
        answers.push(() => request.read(this.#draft));
        continue;
      }
      const verdict = full && growing.has(request.command.kind) ? full : decide(this.#draft, request.command, nowMs);
      if (verdict.kind === 'accepted') for (const event of verdict.events) commit(request.actor, event);
      answers.push(() => request.answer(verdict));
    }
    const plan = place(this.#draft, nowMs);
    for (const event of plan.events) commit(scheduler, event);
    if (records.length > 0) await this.#options.log.append(records);
    for (const say of answers) say();
    if (records.length > 0) for (const listener of this.#listeners) listener(records, this.#draft);
    if (plan.more) this.#tick();
  }

  /** One timer, for whatever happens by itself next. */
  #setTimer(): void {
    const deadlineMs = this.#closed ? undefined : nextDeadlineMs(this.#draft, this.#turnMs);
    // A timer that is set anew at every turn would never fire where turns are short.
    if (this.#timer && deadlineMs === this.#deadlineMs) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#deadlineMs = deadlineMs;
    if (deadlineMs === undefined) return;
    this.#timer = this.#options.clock.setTimer(Math.max(1, deadlineMs - this.nowMs()), () => {
      this.#timer = undefined;
      this.#tick();
    });
  }

  #tick(): void {
    if (!this.#closed)
      this.#take({ kind: 'command', actor: scheduler, command: { kind: 'tick' }, answer: () => undefined });
  }
}

const tooMany = refused('busy', 'Cannot take the request: too many wait; try again');

/** The sentence for a failure that ends the head. */
export function fatalMessage(error: unknown): string {
  return `The head stops: what it decided could not be written: ${messageOf(error)}`;
}
