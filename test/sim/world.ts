import { type AttemptId, attemptId, type BatchId, parseAttemptId } from '../../base/ids.ts';
import { apply } from '../../head/scheduler/apply.ts';
import type { Command } from '../../head/scheduler/command.ts';
import { emptyCluster } from '../../head/scheduler/draft.ts';
import type { LogRecord } from '../../head/scheduler/event.ts';
import { violations as stateViolations } from '../../head/scheduler/invariants.ts';
import { rowState } from '../../head/scheduler/job-rows.ts';
import { aSubmit, batchNumber, someGroup } from '../kit/state.ts';
import { SimAgent } from './sim-agent.ts';
import { SimTime } from './sim-clock.ts';
import { SimHead } from './sim-head.ts';
import type { SimMachine, SimProgram } from './sim-machine.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';
import type { Fault, Weather } from './weather.ts';

/** After everything has healed, this long must be enough, in simulated milliseconds: a lease, and time to run all. */
const patienceMs = 3 * 3_600_000;

/** Once nothing is left to do, this long must nothing go wrong, in simulated milliseconds. */
const quietMs = 60_000;

const user = { kind: 'user', name: 'ada' } as const;

/** A lab with one head and some workstations: real engine, dispatch and agents over simulated time, lines and disks. */
export class World {
  readonly time = new SimTime();
  readonly head: SimHead;
  readonly agents: readonly SimAgent[];
  readonly network: SimNetwork;
  /** What has happened, for whoever reads about a failure. */
  readonly story: string[] = [];
  readonly counts: Record<Fault, number> = {
    ...{ 'head-killed': 0, 'head-power': 0, 'agent-killed': 0, reboot: 0 },
    ...{ cut: 0, silence: 0, slow: 0, 'disk-full': 0 },
  };
  starts = 0;
  readonly #options: Weather;
  readonly #random: SimRandom;
  /** The state as the log on the disk has it, record by record. */
  readonly #truth = emptyCluster();
  readonly #finished = new Map<string, number>();
  readonly #started = new Set<AttemptId>();
  readonly #found: string[] = [];
  readonly #programs = new Map<string, SimProgram>();
  #submitted = 0;
  #doneMs: number | undefined;

  /** The same seed and weather, the same world. */
  constructor(seed: number, options: Weather) {
    this.#options = options;
    this.#random = new SimRandom(seed);
    const { time } = this;
    const random = this.#random;
    const log = {
      debug() {},
      info() {},
      warn: (facts: object, text: string) => this.#say(`${text} ${JSON.stringify(facts)}`),
      error: (facts: object, text: string) => this.#say(`${text} ${JSON.stringify(facts)}`),
    };
    this.network = new SimNetwork(time, random, options.delayMs);
    const onFatal = (error: unknown) => this.#broken(`the engine stops: ${String(error)}`);
    const onDurable = (record: LogRecord) => this.#onDurable(record);
    this.head = new SimHead({ time, random, network: this.network, log, onFatal, onDurable });
    this.agents = Array.from(
      { length: options.nodes },
      (_, at) =>
        new SimAgent(`ws${at + 1}`, {
          ...{ time, random, network: this.network, head: this.head, log, cpus: random.between(1, 3) },
          program: (batchId, index, attempt) => this.#program(batchId, index, attempt),
          onStart: (id, machine) => this.#onStart(id, machine),
          onWipe: (id, machine) => this.#onWipe(id, machine),
        }),
    );
    this.#run(this.head.start());
    for (const agent of this.agents) time.after(random.between(...options.joinMs), () => this.#startAgent(agent));
    for (let at = 1; at <= options.batches; at++)
      time.after(random.between(0, options.faultsForMs / 3), () => this.#submit(at));
    for (let times = 0; times < options.batches; times++)
      time.after(random.between(0, options.faultsForMs), () => this.#change());
    time.after(random.between(1_000, 2 * options.faultEveryMs), () => this.#harm());
    time.after(options.faultsForMs, () => this.#heal());
  }

  /** Goes on to what happens next; false when the lab has nothing to do any more, or its time is up. */
  async step(): Promise<boolean> {
    if (this.isDone) this.#doneMs ??= this.time.nowMs;
    else this.#doneMs = undefined;
    const { nowMs } = this.time;
    if (nowMs > this.#options.faultsForMs + patienceMs || nowMs > (this.#doneMs ?? nowMs) + quietMs) return false;
    this.time.next();
    // Everything that follows at this moment, promise by promise, before time goes on.
    await new Promise(setImmediate);
    return true;
  }

  /** Whether faults are over, every job has ended, and no agent holds anything. */
  get isDone(): boolean {
    return (
      this.time.nowMs > this.#options.faultsForMs &&
      this.#submitted === this.#options.batches &&
      this.unfinished().length === 0 &&
      this.agents.every(({ machine }) => machine.folders.size === 0 && heldIn(machine) === 0)
    );
  }

  /** What is wrong now: promises that were broken, and invariants that do not hold. */
  violations(): readonly string[] {
    return this.#found;
  }

  /** Checks that cost more; for now and then, and for the end. */
  deepViolations(): readonly string[] {
    return [...this.#found, ...stateViolations(this.#truth)];
  }

  /** Batches with jobs that have not ended for good. */
  unfinished(): string[] {
    return [...this.#truth.batches.values()].flatMap(({ name, rows: { counts } }) => {
      const open = counts.queued + counts.held + counts.live;
      return open > 0 ? [`${open} jobs of ${name} have not ended`] : [];
    });
  }

  /** What is wrong with the end of the world: every job must have ended, and be in the archive once, whole. */
  endViolations(): string[] {
    const found = [...this.deepViolations(), ...this.unfinished()];
    if (this.#submitted < this.#options.batches) found.push('a batch was never accepted');
    for (const { machine } of this.agents) {
      for (const id of machine.folders.keys()) found.push(`${machine.name} still has the folder of ${id}`);
      if (heldIn(machine) > 0) found.push(`the record of ${machine.name} still holds ${heldIn(machine)} attempts`);
    }
    for (const batch of this.#truth.batches.values()) {
      for (let index = 0; index < batch.rows.count; index++) found.push(...this.#archiveProblems(batch.id, index));
    }
    return found;
  }

  get crashes(): number {
    return this.head.crashes + this.agents.reduce((sum, agent) => sum + agent.crashes, 0);
  }

  #archiveProblems(batchId: BatchId, index: number): string[] {
    const batch = this.#truth.batches.get(batchId);
    if (!batch || rowState(batch.rows, index) !== 'succeeded') return [];
    const attempt = batch.rows.attempts[index] ?? 0;
    const published = this.head.tree.get(`${batchId}.${index}`);
    if (!published) return [`${batch.name}/${index} succeeded and is not in the archive`];
    if (published.attempt !== attempt)
      return [`${batch.name}/${index} succeeded with attempt ${attempt}, the archive shows ${published.attempt}`];
    const wanted = outputOf(batchId, index, attempt);
    const got = published.files.get('archive/result');
    return got === wanted ? [] : [`the archive of ${batch.name}/${index} holds ${JSON.stringify(got)?.slice(0, 60)}`];
  }

  #onDurable(record: LogRecord): void {
    const { event, actor } = record;
    // Promise 4: only its own node's word, or a placement, takes a job from an attempt that nobody cancels.
    if (event.kind === 'attempt-lost' && actor.kind !== 'node') {
      const lost = this.#truth.attempts.get(attemptId(event.attempt, event.attempt.attempt));
      if (!lost?.cancelling) this.#broken(`${actor.name} gives up attempt ${event.attempt.attempt} of a job`);
    }
    apply(this.#truth, record);
    if (event.kind === 'archive-accepted') {
      const { batchId, index } = event.attempt;
      const job = `${batchId}.${index}`;
      if (this.#finished.has(job)) this.#broken(`${job} was finished twice`);
      if (!event.requeued) this.#finished.set(job, event.attempt.attempt);
    }
  }

  /** Promise 1: no job whose finish was acknowledged runs again. And no attempt starts twice, anywhere. */
  #onStart(id: AttemptId, machine: SimMachine): void {
    this.starts += 1;
    const ref = parseAttemptId(id);
    if (!ref) return;
    const job = `${ref.batchId}.${ref.index}`;
    const live = this.#truth.attempts.get(id);
    // Promise 4: past its lease a node starts nothing new, for somebody else may have.
    const isAway = live && live.lapsedSinceMs !== undefined && !this.#truth.nodes.get(live.nodeId)?.connected;
    if (!live || isAway) this.#broken(`${id} starts on ${machine.name} after its lease`);
    if (this.#finished.has(job)) this.#broken(`${id} starts on ${machine.name} after its job has finished`);
    if (this.#started.has(id)) this.#broken(`${id} starts a second time`);
    this.#started.add(id);
  }

  /** Promise 5: scratch is wiped only after the head has acknowledged. */
  #onWipe(id: AttemptId, machine: SimMachine): void {
    const process = machine.folders.get(id);
    if (!process) return;
    if (!process.end) this.#broken(`${id} is wiped on ${machine.name} while it runs`);
    if (this.#truth.attempts.has(id) && process.end?.kind !== 'lost')
      this.#broken(`${id} is wiped on ${machine.name} before the head has its archive`);
  }

  #program(batchId: BatchId, index: number, attempt: number): SimProgram {
    const key = attemptId({ batchId, index }, attempt);
    const known = this.#programs.get(key);
    if (known) return known;
    const random = this.#random;
    const runMs = random.between(...random.pick(this.#options.runMs));
    const program = { runMs, exitCode: random.chance(0.1) ? 3 : 0, output: outputOf(batchId, index, attempt) };
    this.#programs.set(key, program);
    return program;
  }

  #submit(at: number): void {
    const command = aSubmit(at, { groups: [someGroup({ count: this.#options.jobs, retries: 2 })] });
    const again = () => this.time.after(1_000, () => this.#submit(at));
    if (!this.head.isRunning) return again();
    let answered = false;
    this.head.submit(user, command).then(
      (verdict) => {
        answered = true;
        if (verdict.kind !== 'accepted') return again();
        this.#submitted += 1;
        // Promise 1: what was acknowledged is on the disk, whatever happens to the head now.
        if (!this.#truth.batches.has(batchNumber(at))) this.#broken(`batch ${at} is acknowledged and not on the disk`);
      },
      () => undefined, // its time runs out like that of an answer that never comes
    );
    // Nobody answers for a head that died: people try again, with the same id.
    this.time.after(30_000, () => !answered && this.#submit(at));
  }

  /** People change their mind about some jobs. Nobody repeats it for them when the head dies before it answers. */
  #change(): void {
    const random = this.#random;
    const batch = this.#truth.batches.get(batchNumber(random.between(1, this.#options.batches)));
    if (!batch || !this.head.isRunning) return;
    const first = random.between(0, batch.rows.count - 1);
    const jobs = [first, random.between(1, Math.min(10, batch.rows.count - first))];
    const batchId = batch.id;
    if (random.chance(0.5)) return this.#ask({ kind: 'cancel', batchId, jobs });
    this.#ask({ kind: 'hold', batchId, jobs });
    const release = () => this.#ask({ kind: 'release', batchId, jobs: [0, batch.rows.count] });
    for (const afterMs of [60_000, this.#options.faultsForMs]) this.time.after(afterMs, release);
  }

  #ask(command: Command): void {
    if (!this.head.isRunning) return;
    this.head.submit(user, command).catch(() => undefined); // it died; nobody was told that it was done
  }

  #harm(): void {
    if (this.time.nowMs >= this.#options.faultsForMs) return;
    const fault = this.#random.pick(this.#options.faults);
    const agent = this.#random.pick(this.agents);
    this.counts[fault] += 1;
    this.#do(fault, agent);
    this.time.after(this.#random.between(1, 2 * this.#options.faultEveryMs), () => this.#harm());
  }

  #do(fault: Fault, agent: SimAgent): void {
    const random = this.#random;
    const { name } = agent.machine;
    const now = this.time.nowMs;
    switch (fault) {
      case 'head-killed':
      case 'head-power': {
        const awayMs = random.between(...random.pick(this.#options.awayMs));
        this.#say(`${now}: ${fault}, for ${awayMs} ms`);
        this.head.crash(fault === 'head-power');
        this.time.after(awayMs, () => this.#startHead());
        return;
      }
      case 'agent-killed':
      case 'reboot': {
        const awayMs = random.between(...random.pick(this.#options.awayMs));
        this.#say(`${now}: ${fault} ${name}, for ${awayMs} ms`);
        if (fault === 'reboot') agent.reboot();
        else agent.crash();
        this.time.after(awayMs, () => this.#startAgent(agent));
        return;
      }
      case 'cut':
        this.#say(`${now}: cut ${name}`);
        this.network.cut(name);
        return;
      case 'silence': {
        const forMs = random.between(...random.pick(this.#options.silentMs));
        this.#say(`${now}: silence ${name}, for ${forMs} ms`);
        this.network.silence(name, forMs);
        return;
      }
      case 'slow':
        this.network.setDelay(name, [0, random.between(10, 2_000)]);
        this.time.after(60_000, () => this.network.setDelay(name, this.#options.delayMs));
        return;
      case 'disk-full':
        this.head.diskIsFull = true;
        this.time.after(random.between(1_000, 120_000), () => {
          this.head.diskIsFull = false;
        });
    }
  }

  #heal(): void {
    this.#say(`${this.time.nowMs}: everything heals`);
    this.network.heal();
    this.head.diskIsFull = false;
    this.#startHead();
    for (const agent of this.agents) this.#startAgent(agent);
  }

  #startHead(): void {
    if (!this.head.isRunning) this.#run(this.head.start());
  }

  #startAgent(agent: SimAgent): void {
    if (!agent.isRunning) this.#run(agent.start());
  }

  #run(start: Promise<void>): void {
    start.catch((error: unknown) => this.#broken(`a process cannot start: ${String(error)}`));
  }

  #broken(what: string): void {
    this.#say(`${this.time.nowMs}: BROKEN ${what}`);
    this.#found.push(what);
  }

  #say(line: string): void {
    this.story.push(line);
  }
}

function outputOf(batchId: BatchId, index: number, attempt: number): string {
  // Some archives are too large for the report, and travel by themselves.
  return `result of ${batchId}.${index}.${attempt} ${'x'.repeat(index % 3 === 0 ? 6_000 : 10)}`;
}

/** Attempts in a machine's record. */
function heldIn(machine: SimMachine): number {
  return [...machine.entries.keys()].filter((key) => key.startsWith('attempt!')).length;
}
