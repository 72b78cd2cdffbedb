import { background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type HoldMode, holdSleep, type SleepHold } from './sleep-hold.ts';
import { watchSleep } from './sleep-news.ts';

export interface SleepGuardPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly uid: number;
  /** The system's bus. */
  readonly busAddress: string;
  /** Where programs are looked for. */
  readonly path: string;
  /** What the owner's policy says of sleep now. */
  policy(): 'inhibit' | 'allow';
  /** Whether something runs that sleep would stop. */
  works(): boolean;
  /** The machine is about to sleep, or is awake again. */
  setAsleep(isAsleep: boolean): Promise<void>;
  /** Resolves when the head has acknowledged what it was told; rejects with the signal's reason. */
  told(signal: AbortSignal): Promise<void>;
  /** What `words` says is different. */
  changed(): void;
}

/** For how long sleep may wait for the head's acknowledgement, in milliseconds; logind waits 5 s for all unless told otherwise. */
const tellMaxMs = 2_000;

const modes: readonly HoldMode[] = ['block', 'delay'];

/**
 * Keeps the machine awake while a job runs, where its owner wants that and logind lets us; when it sleeps all the same
 * (a closed lid does not ask), the head is told before. An idle machine is held by nothing. Without logind nothing is done.
 */
export class SleepGuard {
  readonly #ports: SleepGuardPorts;
  readonly #news: { close(): Promise<void> };
  #logind: 'unknown' | 'there' | 'none' = 'unknown';
  #asleep = false;
  /** The head knows that the machine sleeps, or has had its time: nothing holds sleep up any more. */
  #mayGo = false;
  readonly #holds = new Map<HoldMode, SleepHold>();
  #isHeld = false;
  #worked = false;
  /** Why logind refused each way; asked again when the next work begins. */
  readonly #refused = new Map<HoldMode, string>();
  /** What was last said in the log of each. */
  readonly #said = new Map<HoldMode, string>();
  /** Why logind cannot be asked; empty where there is none. */
  #trouble = '';
  /** How often the machine went to sleep. */
  #sleeps = 0;
  #closing: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(ports: SleepGuardPorts) {
    this.#ports = ports;
    this.#news = watchSleep({
      ...ports,
      told: (isAsleep) => this.#heard(isAsleep),
      lost: (why) => this.#lost(why),
    });
  }

  /** One line for people: what is done about sleep now. */
  get words(): string {
    if (this.#logind === 'none') return `nothing is done about sleep: ${this.#trouble || 'no logind runs here'}`;
    if (this.#logind === 'unknown') return 'logind has not been asked yet';
    if (this.#asleep) return 'the machine is going to sleep';
    const refused = this.#refused.get('block');
    if (this.#ports.policy() === 'allow') return 'the machine may sleep; jobs wait meanwhile';
    if (refused !== undefined) return `the machine cannot be kept awake: ${refused}`;
    if (this.#isHeld) return 'the machine is kept awake while a job runs';
    return 'the machine may sleep: no job runs';
  }

  /** Work has begun or ended, or the policy is another. */
  look(): void {
    if (this.#closed) return;
    const works = this.#ports.works();
    if (works && !this.#worked) this.#refused.clear();
    this.#worked = works;
    let isNew = false;
    for (const mode of modes) {
      const wants = this.#wants(mode, works);
      if (wants === this.#holds.has(mode)) continue;
      isNew = true;
      if (wants) this.#take(mode);
      else this.#letGo(mode);
    }
    if (isNew) this.#ports.changed();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const mode of modes) this.#letGo(mode);
    await Promise.all([this.#news.close(), this.#closing]);
  }

  #wants(mode: HoldMode, works: boolean): boolean {
    if (!works || this.#logind !== 'there' || this.#refused.has(mode)) return false;
    return mode === 'block' ? this.#ports.policy() === 'inhibit' : !this.#mayGo;
  }

  #take(mode: HoldMode): void {
    const why = mode === 'block' ? 'a job runs here' : 'the head is told that its jobs wait';
    const hold: SleepHold = holdSleep({
      ...{ mode, why, path: this.#ports.path },
      held: () => {
        if (this.#holds.get(mode) !== hold) return;
        if (mode === 'block') this.#isHeld = true;
        this.#ports.changed();
      },
      lost: (reason) => {
        if (this.#holds.get(mode) !== hold) return;
        this.#holds.delete(mode);
        if (mode === 'block') this.#isHeld = false;
        this.#refuse(mode, reason);
      },
    });
    this.#holds.set(mode, hold);
  }

  #refuse(mode: HoldMode, reason: string): void {
    const meaning = mode === 'block' ? 'cannot keep the machine awake' : 'cannot make sleep wait until the head knows';
    if (this.#said.get(mode) !== reason)
      this.#ports.log.warn({ reason }, `${meaning}; docs/desk.md says what allows it`);
    this.#said.set(mode, reason);
    this.#refused.set(mode, reason);
    this.look();
    this.#ports.changed();
  }

  #letGo(mode: HoldMode): void {
    const hold = this.#holds.get(mode);
    this.#holds.delete(mode);
    if (mode === 'block') this.#isHeld = false;
    if (hold) this.#closing = Promise.all([this.#closing, hold.release()]);
  }

  #heard(isAsleep: boolean): void {
    this.#logind = 'there';
    if (isAsleep !== this.#asleep) {
      this.#asleep = isAsleep;
      this.#mayGo = false;
      const done = this.#ports.setAsleep(isAsleep);
      background(done);
      if (isAsleep) background(this.#tellHead());
    }
    this.look();
    this.#ports.changed();
  }

  /** What was noted by now reaches the head before the machine sleeps, when it answers in time. */
  async #tellHead(): Promise<void> {
    const { clock, told, log } = this.#ports;
    this.#sleeps += 1;
    const sleep = this.#sleeps;
    const late = new AbortController();
    const timer = clock.setTimer(tellMaxMs, () => late.abort(new Error('the head did not answer in time')));
    try {
      await told(late.signal);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the head may not know that this machine sleeps');
    } finally {
      timer.cancel();
    }
    if (!this.#asleep || sleep !== this.#sleeps) return; // it is awake already
    this.#mayGo = true;
    this.look();
  }

  #lost(why: string | undefined): void {
    this.#logind = 'none';
    this.#trouble = why === undefined ? '' : `logind cannot be asked: ${why}`;
    if (this.#asleep) background(this.#ports.setAsleep(false));
    this.#asleep = false;
    this.#mayGo = false;
    this.look();
    this.#ports.changed();
  }
}
