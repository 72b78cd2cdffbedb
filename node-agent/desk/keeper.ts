import { background } from '../../base/background.ts';
import type { Clock, Timer } from '../../base/clock.ts';
import { isRefusal, type Refusal } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { DeskSetting } from '../../config/agent.ts';
import type { DeskPolicy } from '../../config/desk-policy.ts';
import type { NodeYield } from '../effects/node-yields.ts';
import type { OpenAgent } from '../open-agent.ts';
import { asleep, decideYield, free } from '../presence/decide-yield.ts';
import { localTime } from '../presence/history.ts';
import { addPause, endPauses, leavePauses, livePauses, type Pause } from '../presence/pauses.ts';
import type { StrainWatch } from '../presence/strain.ts';
import type { PresenceWatch } from '../presence/watch.ts';
import type { AgentRecord } from '../store/agent-record.ts';
import type { DeskMemory } from './desk-memory.ts';
import { Given } from './given.ts';
import { DeskHabits, type Habits } from './habits.ts';
import { keptSoon } from './kept-soon.ts';
import { LongPause } from './long-pause.ts';
import { fixedPolicy, policyInForce, policyProblem } from './owners-policy.ts';
import { type PauseWish, pauseFor } from './pause-wish.ts';
import { Remembered } from './remembered.ts';
import { lookAround, unseen } from './sight.ts';

/** What the keeper decides with and acts through. */
export interface KeeperPorts {
  /** Never jumps: pauses and waits end when they should, whatever somebody sets. */
  readonly clock: Clock;
  /** The wall clock: what people mean by a time of day, and what a record means after the machine was started again. */
  wallMs(): number;
  readonly log: Log;
  readonly record: Pick<AgentRecord, 'desk' | 'noteDesk' | 'durable'>;
  readonly agent: Pick<OpenAgent, 'yieldTo' | 'askRequeue' | 'attempts' | 'coresInUse' | 'usesGpu'>;
  settings(): DeskSetting;
  /** Physical cores for jobs. */
  cores(): number;
  /** Nothing on a machine where nobody sits. */
  readonly presence: PresenceWatch | undefined;
  /** What other programs want; nothing on a machine where nobody sits. */
  readonly strain: Pick<StrainWatch, 'seen' | 'look' | 'memoryShortSinceMs'> | undefined;
}

/**
 * While something is done for somebody it is looked at this often whether that is over, in milliseconds: timers stand still while the
 * machine sleeps, and nobody tells of that where there is no logind, nor that somebody has set the clock on the wall.
 */
const lookEveryMs = 60_000;
const habitsEveryMs = 3_600_000;
/** Somebody has left who did nothing for so long, though their policy lets work come back sooner, in milliseconds. */
const leftAfterMinMs = 60_000;

/** Decides what this node does for whoever is at its desk, and remembers what they said. */
export class DeskKeeper {
  readonly #ports: KeeperPorts;
  readonly #listeners = new Set<() => void>();
  readonly #given: Given;
  readonly #habits: DeskHabits;
  readonly #remembered: Remembered;
  #policy: DeskPolicy;
  #yielding: NodeYield = { ...free, sinceMs: 0, usuallyFreeFromMinute: undefined, interruption: undefined };
  #habitsKeptMs = Number.NEGATIVE_INFINITY;
  /** When somebody asked for a pause: they were there, though what sees them may be slower than they. */
  #askedMs = Number.NEGATIVE_INFINITY;
  readonly #longPause = new LongPause();
  /** What those do that use no GPU. */
  #withoutGpu: NodeYield['step'] = 'none';
  #isAsleep = false;
  #isUnkept = false;
  #timer: Timer | undefined;
  #closed = false;

  constructor(ports: KeeperPorts) {
    this.#ports = ports;
    this.#remembered = new Remembered(ports);
    const { given, history } = this.#remembered.now;
    this.#policy = this.#usePolicy();
    this.#given = new Given(given, ports.wallMs());
    this.#habits = new DeskHabits(history, localTime);
    ports.presence?.onChange(() => this.look());
  }

  /** What is done now. */
  get yielding(): NodeYield {
    return this.#yielding;
  }

  get pauses(): readonly Pause[] {
    return this.#remembered.now.pauses;
  }

  get policy(): DeskPolicy {
    return this.#policy;
  }

  /** The disk has not taken what people have said: a later agent may not know of it. */
  get isUnkept(): boolean {
    return this.#isUnkept;
  }

  /** As its owner wrote it; empty for the default. */
  get policyText(): string {
    return this.#remembered.now.policy;
  }

  /** Why nobody may change the policy; nothing where its owner may. */
  get policyRefusal(): Refusal | undefined {
    return fixedPolicy(this.#ports.settings());
  }

  /** Cores times milliseconds that jobs were given since Monday. */
  get givenCoreMs(): number {
    return this.#given.at(this.#ports.wallMs(), this.#ports.agent.coresInUse).coreMs;
  }

  /** Looks at everything again: something may be different now. */
  look(): void {
    if (!this.#closed) background(this.#decide());
  }

  /** The settings have been read again. */
  reconfigured(): void {
    this.#policy = this.#usePolicy();
    this.#ports.strain?.look(); // it may ask about what nobody wanted to know before
    this.look();
  }

  /** Attempts have begun or ended, or go at another pace. */
  attemptsChanged(): void {
    this.#ports.strain?.look();
    this.#given.at(this.#ports.wallMs(), this.#ports.agent.coresInUse);
    this.tell();
  }

  /** The machine is about to sleep, or is awake again. What runs is left alone, and gets no time meanwhile. */
  async setAsleep(isAsleep: boolean): Promise<void> {
    if (isAsleep === this.#isAsleep) return;
    this.#isAsleep = isAsleep;
    await this.#decide();
  }

  /**
   * Stops everything for this person; for as long as allowed unless they say how long. Resolves when everything has
   * stopped and the disk knows.
   */
  async pause(by: string, wish: PauseWish): Promise<Refusal | undefined> {
    const { clock, wallMs, settings, presence } = this.#ports;
    const { pauseMaxMs } = settings();
    const now = { nowMs: clock.nowMs(), wallMs: wallMs() };
    const terms = { ...now, maxMs: pauseMaxMs, isWatched: presence !== undefined };
    const pause = pauseFor(by, wish, terms);
    if (isRefusal(pause)) return pause;
    this.#askedMs = terms.nowMs;
    this.#remember({ pauses: addPause(this.pauses, pause, pauseMaxMs) });
    await Promise.all([this.#decide(), this.#kept()]);
    return undefined;
  }

  /** Ends the pause of one person, or of everybody. */
  async resume(by: string | undefined): Promise<void> {
    this.#remember({ pauses: endPauses(this.pauses, by) });
    await Promise.all([this.#decide(), this.#kept()]);
  }

  /** Keeps a policy; a refusal says what is wrong with it. Empty text: the default again. */
  async setPolicy(text: string): Promise<Refusal | undefined> {
    const problem = policyProblem(this.#ports.settings(), text);
    if (problem) return problem;
    this.#remember({ policy: text.trim() });
    this.#policy = this.#usePolicy();
    this.#ports.strain?.look();
    await Promise.all([this.#decide(), this.#kept()]);
    return undefined;
  }

  /** Calls `listener` when anything here may have changed; the answer ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Something that the desk shows may be different. */
  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#remember({});
  }

  async #decide(): Promise<void> {
    const { clock, settings, agent } = this.#ports;
    const nowMs = clock.nowMs();
    const sight = lookAround(this.#ports, nowMs);
    const leftAfterMs = Math.max(leftAfterMinMs, this.#policy.resumeIdleMs);
    const goneAtMs = Math.max(this.#askedMs, sight.activity.lastMs ?? Number.NEGATIVE_INFINITY) + leftAfterMs;
    const live = livePauses(this.pauses, nowMs, settings().pauseMaxMs);
    const pauses = goneAtMs <= nowMs ? leavePauses(live) : live;
    if (pauses !== this.pauses || this.#remembered.isKeptWrong) this.#remember({ pauses });
    const decided = decideYield(this.#policy, pauses, sight);
    const { lookAgainMs } = decided;
    // Somebody else at the GPU is in nobody's way who uses none.
    this.#withoutGpu = decideYield(this.#policy, pauses, { ...sight, gpu: unseen }).yielding.step;
    const yielding = this.#isAsleep ? asleep : decided.yielding;
    const { step, takesJobs, cause, by } = this.#yielding;
    const isNew =
      step !== yielding.step || takesJobs !== yielding.takesJobs || cause !== yielding.cause || by !== yielding.by;
    // Also of a pause that an earlier agent was asked for.
    const beganMs = pauses.find((pause) => yielding.cause === 'asked' && pause.by === yielding.by)?.sinceMs ?? nowMs;
    const sinceMs = isNew ? beganMs : this.#yielding.sinceMs;
    this.#yielding = { ...yielding, sinceMs, ...this.#habitsAt() };
    // To sleep is no pause, and the end of none.
    this.#longPause.note(decided.yielding.step === 'pause', beganMs);
    const requeueInMs = this.#requeueInMs(nowMs);
    this.#timer?.cancel();
    const leavesInMs = goneAtMs > nowMs ? goneAtMs - nowMs : Number.POSITIVE_INFINITY;
    const hourInMs = this.#ports.presence ? this.#habits.nextHourInMs(this.#ports.wallMs()) : Number.POSITIVE_INFINITY;
    const nextMs = Math.min(lookAgainMs ?? Number.POSITIVE_INFINITY, requeueInMs, leavesInMs, hourInMs);
    const lookMs = yielding === free ? nextMs : Math.min(nextMs, lookEveryMs);
    if (Number.isFinite(lookMs) && !this.#closed) this.#timer = clock.setTimer(lookMs, () => this.look());
    const done = agent.yieldTo(this.#yielding, {
      step: this.#isAsleep ? 'asleep' : yielding.step,
      cores: this.#throttleCores(),
      exempt: this.#exempt(),
      ...(this.#isAsleep ? {} : { withoutGpu: this.#withoutGpu }),
    });
    this.tell();
    await done;
    // By now jobs have stopped or go on.
    this.tell();
  }

  /**
   * Kept once an hour: to lose the last is no loss. While nobody is there and nothing runs, it waits until somebody comes:
   * a disk that sleeps is not woken for it.
   */
  #habitsAt(): Habits {
    const { presence, clock, wallMs } = this.#ports;
    if (!presence) return { usuallyFreeFromMinute: undefined, interruption: undefined };
    const { present } = presence.current();
    this.#habits.note(wallMs(), present);
    const isAwake = present || this.#ports.agent.attempts().length > 0;
    if (isAwake && clock.monotonicMs() - this.#habitsKeptMs >= habitsEveryMs) {
      this.#habitsKeptMs = clock.monotonicMs();
      this.#remember({ history: this.#habits.text });
    }
    return this.#habits.at(wallMs());
  }

  /** In how long jobs look for another machine; when that is due they are told, and there is nothing more to wait for. */
  #requeueInMs(nowMs: number): number {
    if (this.#isAsleep) return Number.POSITIVE_INFINITY;
    const dueMs = this.#longPause.dueMs(this.#policy, this.#ports.strain?.memoryShortSinceMs);
    if (dueMs > nowMs) return dueMs - nowMs;
    const exempt = this.#exempt();
    const ids = this.#ports.agent
      .attempts()
      // One that waits for a build waits for processes that stand still, too.
      .filter(({ phase }) => phase.kind === 'running' || phase.kind === 'building')
      .filter(({ assignment }) => !exempt.has(assignment.user))
      .filter(({ id }) => this.#withoutGpu === 'pause' || this.#ports.agent.usesGpu(id))
      .map(({ id }) => id);
    this.#ports.agent.askRequeue(
      ids,
      `the machine was paused for long: ${this.#yielding.reason || 'somebody needs it'}`,
    );
    return Number.POSITIVE_INFINITY;
  }

  #throttleCores(): number {
    const { throttleTo } = this.#policy;
    return throttleTo === 'half' ? this.#ports.cores() / 2 : throttleTo;
  }

  /** What somebody asked for holds for all, and so does sleep; what the policy does spares the owner's own jobs. */
  #exempt(): ReadonlySet<string> {
    const { owner } = this.#ports.settings();
    const { cause } = this.#yielding;
    const spared = this.#policy.ownJobsGoOn && cause !== 'asked' && cause !== 'asleep';
    return new Set(spared && owner !== undefined ? [owner] : []);
  }

  /** What holds now; who is at the desk is judged by it, too. */
  #usePolicy(): DeskPolicy {
    const policy = policyInForce(this.#ports.settings(), this.policyText, this.#ports.log);
    this.#ports.presence?.setAwayAfter(policy.resumeIdleMs);
    return policy;
  }

  #kept(): Promise<void> {
    return keptSoon(this.#ports, (isLate) => {
      if (isLate === this.#isUnkept) return;
      this.#isUnkept = isLate;
      this.tell();
    });
  }

  #remember(change: Partial<DeskMemory>): void {
    const { agent, wallMs } = this.#ports;
    this.#remembered.note({ ...change, given: this.#given.at(wallMs(), agent.coresInUse) });
  }
}
