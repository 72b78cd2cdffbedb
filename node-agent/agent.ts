import { background } from '../base/background.ts';
import type { AttemptId, Fence } from '../base/ids.ts';
import { type Assignment, type Attempt, assigned } from './attempts/attempt.ts';
import { holdsCpus, startable, waitingCpus } from './attempts/desired.ts';
import type { AttemptEvent, Effect } from './attempts/event.ts';
import { type AttemptReport, type ReportedPhase, reportOf } from './attempts/report.ts';
import { step } from './attempts/step.ts';
import { AttemptWork, type WorkPorts } from './effects/attempt-work.ts';
import type { Builds } from './effects/builds.ts';
import { type NodeYield, NodeYields } from './effects/node-yields.ts';
import type { Shells } from './effects/shells.ts';
import type { Wish, YieldingTree } from './effects/tree-yields.ts';
import type { OwnDisk } from './ports.ts';
import type { AgentRecord } from './store/agent-record.ts';
import { type Urgency, urgencyOf } from './uplink/urgency.ts';
import type { AgentNews, HeadWord, NodeInventory } from './wire.ts';

/** What the agent decides with and acts through. */
export interface AgentPorts extends WorkPorts {
  readonly record: AgentRecord;
  readonly builds: Pick<Builds, 'ensure' | 'release' | 'restore' | 'endUnclaimed' | 'retry' | 'forgetAll' | 'trees'>;
  readonly shells?: Pick<Shells, 'trees' | 'leave'>;
  readonly ownDisk: Pick<OwnDisk, 'trouble'>;
  /** Of this start of the machine. */
  readonly bootId: string;
  /** An attempt is somewhere else than before, or goes at another pace. */
  attemptsChanged(): void;
  /** There is news under this key; `make` says what when it is sent. */
  tell(key: string, make: () => AgentNews | undefined, urgency: Urgency): void;
}

interface Held {
  attempt: Attempt;
  readonly work: AttemptWork;
}

/** Holds the attempts of this node: takes the head's words, keeps what must survive, starts what fits. */
export class Agent {
  readonly #ports: AgentPorts;
  /** In the order assigned. */
  readonly #held = new Map<AttemptId, Held>();
  /** Those of them whose processes run, or stand still for a while: few beside what waits and what has ended. */
  readonly #running = new Map<AttemptId, Held>();
  readonly #yields: NodeYields;
  /** Why those that stand still should run elsewhere, until they go on. */
  readonly #unwanted = new Map<AttemptId, string>();
  #inventory: NodeInventory;
  #hasBegun = false;

  constructor(ports: AgentPorts, inventory: NodeInventory) {
    this.#ports = ports;
    this.#inventory = inventory;
    this.#yields = new NodeYields({
      ...ports,
      trees: () => [
        ...this.#trees(),
        ...ports.builds.trees(),
        ...(ports.shells?.trees((id) => this.usesGpu(id)) ?? []),
      ],
      tellHead: () => ports.tell('yield', () => ({ kind: 'yield', report: this.#yields.report() }), 'now'),
    });
  }

  get inventory(): NodeInventory {
    return this.#inventory;
  }

  /** Takes up what earlier agents left: processes go on, ends are noticed, what nobody knows is removed. Starts nothing. */
  async restore(): Promise<void> {
    const { record, workspace, executor, builds, log, bootId } = this.#ports;
    const hasRebooted = record.bootId !== undefined && record.bootId !== bootId;
    for (const attempt of record.attempts) this.#hold(attempt);
    for (const held of [...this.#held.values()]) {
      const { attempt, work } = held;
      if (hasRebooted) this.#take(held, { kind: 'rebooted' });
      else if (attempt.phase.kind === 'assigned') await work.adopt(attempt);
      else if (attempt.phase.kind === 'wiping') work.wipe(attempt);
    }
    record.noteBoot(bootId);
    await record.durable();
    for (const id of await workspace.list()) {
      if (this.#held.has(id)) continue;
      log.info({ attempt: id }, 'removing the folder of an attempt that nobody knows');
      await executor.kill(workspace.homeOf(id), 0);
      await workspace.wipe(id);
    }
    await builds.restore([...this.#held.values()].some(({ attempt }) => attempt.phase.kind === 'assigned'));
  }

  /** From now on what waits is started, as far as who is at the desk lets it: that should be known by now. */
  begin(): void {
    this.#hasBegun = true;
    this.#fillSlots();
  }

  /** Where every attempt is now, for the hello. */
  reports(): readonly AttemptReport[] {
    const nowMs = this.#ports.clock.nowMs();
    return [...this.#held.values()].flatMap(({ attempt }) => reportOf(attempt, nowMs) ?? []);
  }

  /** Follows one word of the head. It is durable once the record says so. */
  heard(word: HeadWord): void {
    if (word.kind === 'build-retry') {
      this.#ports.builds.retry(word.digest);
      return;
    }
    const held = this.#held.get(word.id);
    if (word.kind === 'attempt') {
      if (held) this.#take(held, word.event);
      else this.#tellUnknown(word.fence, word.event);
    } else if (held) this.#report(word.id);
    else this.#assign(word.id, word.assignment);
  }

  /** The machine has been looked at again. */
  setInventory(inventory: NodeInventory): void {
    const before = this.#inventory;
    this.#inventory = inventory;
    if (JSON.stringify(before) === JSON.stringify(inventory)) return;
    if (JSON.stringify(before.capabilities) !== JSON.stringify(inventory.capabilities)) this.#ports.builds.forgetAll();
    this.#ports.tell('inventory', () => ({ kind: 'inventory', inventory: this.#inventory }), 'now');
    this.#fillSlots();
  }

  /** Does this for the person at the desk, and tells the head. Resolves when everything that runs does it. */
  async yieldTo(yielding: NodeYield, wish: Wish): Promise<void> {
    const done = this.#yields.want(yielding, wish);
    if (wish.step !== 'pause' && wish.step !== 'asleep') this.#unwanted.clear();
    if (yielding.takesJobs) this.#fillSlots();
    else {
      for (const held of [...this.#held.values()]) this.#take(held, { kind: 'give-back' });
      background(this.#ports.builds.endUnclaimed());
    }
    await done;
  }

  get yields(): Pick<NodeYields, 'report' | 'processes' | 'treesChanged'> {
    return this.#yields;
  }

  /** Asks the head to let these jobs run elsewhere, unless they go on before it hears of that. */
  askRequeue(ids: readonly AttemptId[], reason: string): void {
    for (const id of ids) this.#unwanted.set(id, reason);
    this.greeted();
  }

  /** A head listens that may not know what no hello says. */
  greeted(): void {
    for (const id of this.#unwanted.keys()) this.#ports.tell(`requeue ${id}`, () => this.#wishOf(id), 'now');
  }

  /** What is here and has not ended. */
  liveAttempts(): readonly Attempt[] {
    const live: Attempt[] = [];
    for (const { attempt } of this.#held.values()) {
      if (holdsCpus(attempt) || attempt.phase.kind === 'archiving') live.push(attempt);
    }
    return live;
  }

  /** That attempt, if its processes run, or stand still for a while. */
  running(id: AttemptId): Attempt | undefined {
    return this.#running.get(id)?.attempt;
  }

  /** What its batch calls the job of that attempt; nothing while that is not known here. */
  jobName(id: AttemptId): string | undefined {
    return this.#held.get(id)?.work.jobName;
  }

  /** Whether the job of that attempt may use a GPU: also while that is not known here. */
  usesGpu(id: AttemptId): boolean {
    return this.#held.get(id)?.work.usesGpu ?? true;
  }

  /** Cores that jobs have now: of those that are slowed down their share, of those that stand still none. */
  get coresInUse(): number {
    let cores = 0;
    for (const { attempt } of this.#running.values()) cores += attempt.assignment.cpus * attempt.pace.share;
    return cores;
  }

  /** The lease holds again, or the disk is well: what waits may start. */
  resume(): void {
    this.#fillSlots();
  }

  /** Resolves when nothing is being done any more. Jobs go on. */
  async close(): Promise<void> {
    this.#yields.close();
    await Promise.all([...this.#held.values()].map(({ work }) => work.close()));
  }

  #assign(id: AttemptId, assignment: Assignment): void {
    const attempt = assigned(id, assignment);
    this.#ports.record.save(attempt);
    this.#hold(attempt);
    this.#report(id);
    this.#fillSlots();
  }

  #hold(attempt: Attempt): void {
    const mayStart = () => this.#yields.takesJobs;
    const work = new AttemptWork(this.#ports, attempt, mayStart, (event) => {
      const held = this.#held.get(attempt.id);
      if (held) this.#take(held, event);
    });
    this.#held.set(attempt.id, { attempt, work });
  }

  #take(held: Held, event: AttemptEvent): void {
    const before = held.attempt;
    const { attempt, effects } = step(before, event, this.#ports.clock.nowMs());
    held.attempt = attempt;
    if (attempt.phase.kind === 'running') this.#running.set(attempt.id, held);
    else this.#running.delete(attempt.id);
    for (const effect of effects) this.#perform(held, effect);
    if ((before.phase.kind === 'running') !== (attempt.phase.kind === 'running')) this.#yields.treesChanged();
    const isElsewhere = before.phase.kind !== attempt.phase.kind;
    if (isElsewhere || before.pace.share !== attempt.pace.share) this.#ports.attemptsChanged();
    if (holdsCpus(before) && !holdsCpus(attempt)) this.#fillSlots();
    // The build was begun before somebody came, and is of use to others; its job is not begun now.
    if (event.kind === 'build-ready' && !this.#yields.takesJobs) this.#take(held, { kind: 'give-back' });
  }

  #perform({ attempt, work }: Held, effect: Effect): void {
    switch (effect.kind) {
      case 'save':
        this.#ports.record.save(attempt);
        break;
      case 'report':
        this.#report(attempt.id);
        break;
      case 'kill':
        work.kill(attempt, effect.graceMs);
        break;
      case 'resend':
        work.resend(attempt, effect.paths);
        break;
      case 'drop':
        background(work.idle().then(() => this.#drop(attempt.id)));
        break;
      default:
        work[effect.kind](attempt);
    }
  }

  #drop(id: AttemptId): void {
    this.#ports.record.remove(id);
    this.#held.delete(id);
    this.#unwanted.delete(id);
  }

  #fillSlots(): void {
    const { lease, ownDisk } = this.#ports;
    if (!this.#hasBegun || !lease.isValid || ownDisk.trouble !== '' || !this.#yields.takesJobs) return;
    const attempts = [...this.#held.values()].map(({ attempt }) => attempt);
    for (const id of startable(attempts, this.#inventory.cpus)) {
      const held = this.#held.get(id);
      if (held) this.#take(held, { kind: 'slot' });
    }
  }

  #trees(): readonly YieldingTree[] {
    return [...this.#running.values()].map(({ attempt: { id, assignment } }) => ({
      home: this.#ports.workspace.homeOf(id),
      cpus: assignment.cpus,
      user: assignment.user,
      usesGpu: this.usesGpu(id),
      paced: (share) => {
        const held = this.#held.get(id);
        if (held) this.#take(held, { kind: 'paced', share });
      },
    }));
  }

  #wishOf(id: AttemptId): AgentNews | undefined {
    const reason = this.#unwanted.get(id);
    const attempt = this.#held.get(id)?.attempt;
    const isHere = attempt?.phase.kind === 'running' || attempt?.phase.kind === 'building';
    if (reason !== undefined && isHere) return { kind: 'requeue', fence: attempt.assignment.fence, reason };
    this.#unwanted.delete(id);
    return undefined;
  }

  #report(id: AttemptId): void {
    const make = (): AgentNews | undefined => {
      const attempt = this.#held.get(id)?.attempt;
      const report = attempt && reportOf(attempt, this.#ports.clock.nowMs());
      return report && { kind: 'attempt', report };
    };
    const phase = this.#held.get(id)?.attempt.phase.kind ?? 'forgotten';
    this.#ports.tell(
      `attempt ${id}`,
      make,
      urgencyOf(phase, () => this.#wavesWaiting()),
    );
  }

  #wavesWaiting(): number {
    return waitingCpus([...this.#held.values()].map(({ attempt }) => attempt)) / this.#inventory.cpus;
  }

  /** The head believes in an attempt that is not here: it gets the word that lets it go on. */
  #tellUnknown(fence: Fence, event: AttemptEvent): void {
    if (event.kind === 'forget') return;
    const phase: ReportedPhase = event.kind === 'settle' || event.kind === 'discard' ? 'wiped' : 'lost';
    const report: AttemptReport = {
      fence,
      phase,
      startedMsAgo: undefined,
      endedMsAgo: undefined,
      finish: undefined,
      returned: undefined,
      message: phase === 'lost' ? 'the agent has no record of this attempt' : '',
      pausedMs: 0,
    };
    const key = `unknown ${fence.batchId}.${fence.index}.${fence.attempt}`;
    this.#ports.tell(key, () => ({ kind: 'attempt', report }), 'now');
  }
}
