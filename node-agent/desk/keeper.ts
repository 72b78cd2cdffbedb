import { background } from '../../base/background.ts';
import { type Clock, delay, type Timer } from '../../base/clock.ts';
import { messageOf, type Refusal, refused } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { DeskSetting } from '../../config/agent.ts';
import { type DeskPolicy, policyMaxLength, readDeskPolicy } from '../../config/desk-policy.ts';
import type { NodeYield } from '../effects/node-yields.ts';
import type { OpenAgent } from '../open-agent.ts';
import { asleep, decideYield, free, type Seen, type Sight } from '../presence/decide-yield.ts';
import { awayForMs } from '../presence/fuse.ts';
import { localTime } from '../presence/history.ts';
import { addPause, endPauses, leavePauses, livePauses, type Pause } from '../presence/pauses.ts';
import type { StrainName, StrainWatch } from '../presence/strain.ts';
import type { PresenceWatch } from '../presence/watch.ts';
import type { AgentRecord } from '../store/agent-record.ts';
import { blankMemory, type DeskMemory, readDeskMemory, writeDeskMemory } from './desk-memory.ts';
import { Given, minuteOfWeek, nextMorning } from './given.ts';
import { DeskHabits, type Habits } from './habits.ts';

/** How long somebody wants a pause. */
export interface PauseWish {
  /** Nothing: as long as allowed. */
  readonly forMs: number | undefined;
  /** Until the next morning, or until nobody is at the desk; never longer than allowed. */
  readonly until: 'tomorrow' | 'away' | undefined;
  readonly reason: string;
}

/** What the keeper decides with and acts through. */
export interface KeeperPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly record: Pick<AgentRecord, 'desk' | 'noteDesk' | 'durable'>;
  readonly agent: Pick<OpenAgent, 'yieldTo' | 'askRequeue' | 'attempts'>;
  settings(): DeskSetting;
  /** Physical cores for jobs. */
  cores(): number;
  /** Nothing on a machine where nobody sits. */
  readonly presence: PresenceWatch | undefined;
  /** What other programs want; nothing on a machine where nobody sits. */
  readonly strain: Pick<StrainWatch, 'seen' | 'look' | 'memoryShortSinceMs'> | undefined;
}

const habitsEveryMs = 3_600_000;
/** A disk takes milliseconds; one that is full or gone takes for ever. In milliseconds. */
const keptWithinMs = 3_000;
const unseen: Seen = { lastMs: undefined, why: '' };

/** Decides what this node does for whoever is at its desk, and remembers what they said. */
export class DeskKeeper {
  readonly #ports: KeeperPorts;
  readonly #listeners = new Set<() => void>();
  readonly #given: Given;
  readonly #habits: DeskHabits;
  #memory: DeskMemory;
  #policy: DeskPolicy;
  #yielding: NodeYield = { ...free, sinceMs: 0, usuallyFreeFromMinute: undefined, interruption: undefined };
  #habitsKeptMs = 0;
  #pausedSinceMs: number | undefined;
  #isAsleep = false;
  #timer: Timer | undefined;
  #closed = false;

  constructor(ports: KeeperPorts) {
    this.#ports = ports;
    const { record, log, clock, presence } = ports;
    const memory = readDeskMemory(record.desk);
    if (!memory) log.error({}, 'what the desk has remembered cannot be read: pauses and policy are gone');
    this.#memory = memory ?? blankMemory;
    this.#policy = this.#readPolicy();
    this.#given = new Given(this.#memory.given, clock.nowMs());
    this.#habits = new DeskHabits(this.#memory.history, localTime);
    presence?.onChange(() => this.look());
  }

  /** What is done now. */
  get yielding(): NodeYield {
    return this.#yielding;
  }

  get pauses(): readonly Pause[] {
    return this.#memory.pauses;
  }

  get policy(): DeskPolicy {
    return this.#policy;
  }

  /** As its owner wrote it; empty for the default. */
  get policyText(): string {
    return this.#memory.policy;
  }

  /** Cores times milliseconds that jobs were given since Monday. */
  get givenCoreMs(): number {
    return this.#given.at(this.#ports.clock.nowMs(), this.#coresInUse()).coreMs;
  }

  /** Looks at everything again: something may be different now. */
  look(): void {
    if (!this.#closed) background(this.#decide());
  }

  /** The settings have been read again. */
  reconfigured(): void {
    this.#policy = this.#readPolicy();
    this.look();
  }

  /** Attempts have begun or ended. */
  attemptsChanged(): void {
    this.#ports.strain?.look();
    this.#given.at(this.#ports.clock.nowMs(), this.#coresInUse());
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
    const { forMs, until, reason } = wish;
    const nowMs = this.#ports.clock.nowMs();
    const { pauseMaxMs } = this.#ports.settings();
    if (forMs !== undefined && !(forMs > 0)) return refused('invalid', 'Cannot pause: the time must be above 0');
    if (forMs !== undefined && forMs > pauseMaxMs) {
      const hours = Math.round(pauseMaxMs / 360_000) / 10;
      return refused(
        'limit',
        `Cannot pause for so long: ${hours} h is the most at a time here; pause again later to renew it`,
      );
    }
    if (until === 'away' && !this.#ports.presence)
      return refused(
        'invalid',
        'Cannot pause until you leave: this machine is dedicated, and nobody is watched for; say for how long',
      );
    const untilMs = until === 'tomorrow' ? nextMorning(nowMs) : nowMs + (forMs ?? pauseMaxMs);
    const pause = { by, reason, sinceMs: nowMs, untilMs, untilAway: until === 'away' };
    this.#remember({ pauses: addPause(this.#memory.pauses, pause, pauseMaxMs) });
    await Promise.all([this.#decide(), this.#kept()]);
    return undefined;
  }

  /** Ends the pause of one person, or of everybody. */
  async resume(by: string | undefined): Promise<void> {
    this.#remember({ pauses: endPauses(this.#memory.pauses, by) });
    await Promise.all([this.#decide(), this.#kept()]);
  }

  /** Keeps a policy; a refusal says what is wrong with it. Empty text: the default again. */
  async setPolicy(text: string): Promise<Refusal | undefined> {
    if (this.#ports.settings().policyIsFixed)
      return refused('denied', 'Cannot change the policy of this machine: its admin has fixed it in agent.yaml');
    if (text.length > policyMaxLength)
      return refused('limit', `Cannot take a policy of over ${policyMaxLength} characters`);
    try {
      readDeskPolicy('policy', text);
    } catch (error) {
      return refused('invalid', messageOf(error));
    }
    this.#remember({ policy: text.trim() });
    this.#policy = this.#readPolicy();
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
    const sight = this.#sight(nowMs);
    const goneAtMs = (sight.activity.lastMs ?? Number.NEGATIVE_INFINITY) + this.#policy.resumeIdleMs;
    const live = livePauses(this.#memory.pauses, nowMs, settings().pauseMaxMs);
    const pauses = goneAtMs <= nowMs ? leavePauses(live) : live;
    if (pauses !== this.#memory.pauses) this.#remember({ pauses });
    const decided = decideYield(this.#policy, pauses, sight);
    const { lookAgainMs } = decided;
    const yielding = this.#isAsleep ? asleep : decided.yielding;
    const { step, takesJobs, cause, by } = this.#yielding;
    const isNew =
      step !== yielding.step || takesJobs !== yielding.takesJobs || cause !== yielding.cause || by !== yielding.by;
    const sinceMs = isNew ? nowMs : this.#yielding.sinceMs;
    this.#yielding = { ...yielding, sinceMs, ...this.#habitsAt(nowMs) };
    // To sleep is no pause, and the end of none.
    if (decided.yielding.step !== 'pause') this.#pausedSinceMs = undefined;
    else this.#pausedSinceMs ??= nowMs;
    const requeueInMs = this.#requeueInMs(nowMs);
    this.#timer?.cancel();
    const leavesInMs = goneAtMs > nowMs ? goneAtMs - nowMs : Number.POSITIVE_INFINITY;
    const hourInMs = this.#ports.presence ? this.#habits.nextHourMs(nowMs) - nowMs : Number.POSITIVE_INFINITY;
    const nextMs = Math.min(lookAgainMs ?? Number.POSITIVE_INFINITY, requeueInMs, leavesInMs, hourInMs);
    if (Number.isFinite(nextMs) && !this.#closed) this.#timer = clock.setTimer(nextMs, () => this.look());
    const done = agent.yieldTo(this.#yielding, {
      step: this.#isAsleep ? 'asleep' : yielding.step,
      cores: this.#throttleCores(),
      exempt: this.#exempt(),
    });
    this.tell();
    await done;
    // By now jobs have stopped or go on.
    this.tell();
  }

  /** The disk knows; or has no room for it now, and will know when it has. People do not wait for that. */
  async #kept(): Promise<void> {
    const { clock, log, record } = this.#ports;
    const enough = new AbortController();
    const late = delay(clock, keptWithinMs, enough.signal).then(
      () => log.error({}, 'the disk has not taken what the desk was told; a restart of the agent could forget it'),
      () => undefined, // it was taken in time
    );
    const durable = record.durable();
    background(durable);
    await Promise.race([durable, late]);
    enough.abort(new Error('the disk has it'));
  }

  /** Kept once an hour: to lose the last is no loss. */
  #habitsAt(nowMs: number): Habits {
    const { presence } = this.#ports;
    if (!presence) return { usuallyFreeFromMinute: undefined, interruption: undefined };
    this.#habits.note(nowMs, presence.current().present);
    if (nowMs - this.#habitsKeptMs >= habitsEveryMs) {
      this.#habitsKeptMs = nowMs;
      this.#remember({ history: this.#habits.text });
    }
    return this.#habits.at(nowMs);
  }

  /**
   * After so long a stop, or while memory stays short although they are stopped, jobs look for another machine; nothing
   * more to wait for once they were told.
   */
  #requeueInMs(nowMs: number): number {
    const { requeueAfterPauseMs = Number.POSITIVE_INFINITY, requeueAfterMemoryMs } = this.#policy;
    const pausedMs = this.#pausedSinceMs;
    if (pausedMs === undefined || this.#isAsleep) return Number.POSITIVE_INFINITY;
    const shortMs = this.#ports.strain?.memoryShortSinceMs ?? Number.POSITIVE_INFINITY;
    const dueMs = Math.min(pausedMs + requeueAfterPauseMs, Math.max(pausedMs, shortMs) + requeueAfterMemoryMs);
    if (dueMs > nowMs) return dueMs - nowMs;
    const exempt = this.#exempt();
    const ids = this.#ports.agent
      .attempts()
      .filter(({ phase, assignment }) => phase.kind === 'running' && !exempt.has(assignment.user))
      .map(({ id }) => id);
    this.#ports.agent.askRequeue(
      ids,
      `the machine was paused for long: ${this.#yielding.reason || 'somebody needs it'}`,
    );
    return Number.POSITIVE_INFINITY;
  }

  #sight(nowMs: number): Sight {
    const { presence, clock, strain } = this.#ports;
    const seen = (name: StrainName) => strain?.seen(name) ?? unseen;
    const strained = { load: seen('load'), memory: seen('memory'), gpu: seen('gpu') };
    const sight = { nowMs, minuteOfWeek: minuteOfWeek(nowMs), ...strained };
    if (!presence) return { ...sight, activity: unseen };
    const verdict = presence.current();
    const awayMs = awayForMs(verdict, clock.sinceBootMs());
    const never = verdict.lastActivityMs === undefined && !verdict.now;
    const lastMs = verdict.now ? Number.POSITIVE_INFINITY : never ? undefined : nowMs - awayMs;
    // Which signal saw them is nobody's business but theirs: this goes to the head.
    return { ...sight, activity: { lastMs, why: 'somebody is at the desk' } };
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

  #coresInUse(): number {
    const running = this.#ports.agent.attempts().filter(({ phase }) => phase.kind === 'running');
    return running.reduce((sum, { assignment, pace }) => sum + assignment.cpus * pace.share, 0);
  }

  #readPolicy(): DeskPolicy {
    const { policy, policyIsFixed } = this.#ports.settings();
    if (policyIsFixed || this.#memory.policy === '') return policy;
    try {
      return readDeskPolicy('policy', this.#memory.policy);
    } catch (error) {
      this.#ports.log.error(
        { error: messageOf(error) },
        "the owner's policy cannot be read any more; the machine's holds",
      );
      return policy;
    }
  }

  #remember(change: Partial<DeskMemory>): void {
    const { clock, record } = this.#ports;
    this.#memory = { ...this.#memory, ...change, given: this.#given.at(clock.nowMs(), this.#coresInUse()) };
    record.noteDesk(writeDeskMemory(this.#memory));
  }
}
