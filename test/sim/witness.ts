import { type AttemptId, attemptId, type BatchId, type NodeId, parseAttemptId } from '../../base/ids.ts';
import { apply } from '../../head/scheduler/apply.ts';
import type { AttemptRef } from '../../head/scheduler/attempt.ts';
import { emptyCluster } from '../../head/scheduler/draft.ts';
import type { LogRecord } from '../../head/scheduler/event.ts';
import { violations as stateViolations } from '../../head/scheduler/invariants.ts';
import { indicesIn } from '../../head/scheduler/job-ranges.ts';
import { rowState } from '../../head/scheduler/job-rows.ts';
import type { ClusterState } from '../../head/scheduler/state.ts';
import type { HeadMessage } from '../../proto/gen/labrun/v1/agent_link.ts';
import type { PublishedJob } from './sim-head.ts';
import type { SimMachine } from './sim-machine.ts';
import type { Tally } from './tally.ts';

/** What the head has said of an attempt to one machine, and in which life of the log. */
interface Told {
  readonly kind: string;
  readonly era: number;
}

/** One start of an attempt. */
interface Run {
  readonly machine: SimMachine;
  readonly era: number;
  readonly output: string;
  /** The machine's power went before its disk had the attempt. */
  isForgotten: boolean;
}

/** What is in the archive at the end: by job, and of batches that somebody deleted. */
export interface SimArchive {
  readonly tree: ReadonlyMap<string, PublishedJob>;
  /** Attempts beside the one that the job's folder shows. */
  readonly earlier: ReadonlyMap<string, readonly number[]>;
  readonly removed: ReadonlyMap<BatchId, unknown>;
}

/** What a witness looks at besides what it is told. */
export interface WitnessPorts {
  machineOf(nodeId: NodeId): SimMachine | undefined;
  onBroken(what: string): void;
}

/**
 * Sees every durable record, every start, every wipe and every word of the head, and objects to what labrun promises never
 * to do. Each loss of a log's end begins an era: of what came before, only what nodes and archive still know is held against it.
 */
export class Witness {
  readonly #ports: WitnessPorts;
  readonly #tally: Tally;
  /** The state as the log on the disk has it, record by record. */
  #truth = emptyCluster();
  #era = 0;
  #finished = new Map<string, { readonly seq: number }>();
  readonly #runs = new Map<AttemptId, Run[]>();
  readonly #told = new Map<string, Told[]>();
  /** By machine and attempt: what lived when the log lost its beginning. What it does is nobody's order. */
  readonly #orphans = new Set<string>();
  /** Attempts whose results the log has accepted. */
  #accepted = new Set<AttemptId>();
  /** In which era an attempt's results were accepted last. */
  readonly #acceptedIn = new Map<AttemptId, number>();
  /** Attempts whose results were acknowledged in an end that was lost. */
  readonly #acknowledged = new Set<AttemptId>();
  /** By which record of this era a node has said hello, and a batch has come. */
  #heard = new Map<NodeId, number>();
  #submitted = new Map<BatchId, number>();

  constructor(ports: WitnessPorts, tally: Tally) {
    this.#ports = ports;
    this.#tally = tally;
  }

  get truth(): ClusterState {
    return this.#truth;
  }

  /** A record is on the disk. */
  onDurable(record: LogRecord): void {
    const { event, actor } = record;
    if (record.atMs < this.#truth.atMs) this.#ports.onBroken(`the head's time goes back, to ${record.atMs}`);
    // Promise 4: only its own node's word, or a placement, takes a job from an attempt that nobody cancels.
    if (event.kind === 'attempt-lost' && actor.kind !== 'node') {
      const lost = this.#truth.attempts.get(attemptId(event.attempt, event.attempt.attempt));
      if (!lost?.cancelling) this.#ports.onBroken(`${actor.name} gives up attempt ${event.attempt.attempt} of a job`);
    }
    if (event.kind === 'attempt-assigned') this.#checkNumber(event.attempt, event.nodeId);
    apply(this.#truth, record);
    this.#tally.noteRecord(record);
    if (event.kind === 'attempt-assigned' && this.#isFarAhead(event.nodeId)) this.#tally.note('short jobs given ahead');
    if (event.kind === 'node-connected') this.#heard.set(event.nodeId, record.seq);
    if (event.kind === 'batch-submitted') this.#submitted.set(event.batchId, record.seq);
    this.#noteFinish(record);
  }

  /** Whether more jobs wait on a node than it could run at once. */
  #isFarAhead(nodeId: NodeId): boolean {
    let cpus = 0;
    for (const attempt of this.#truth.attempts.values()) if (attempt.nodeId === nodeId) cpus += attempt.cpus;
    return cpus > 2 * (this.#truth.nodes.get(nodeId)?.facts.cpus ?? 0);
  }

  /** The log has lost its end: this is what is left. */
  onLost(records: readonly LogRecord[]): void {
    const before = this.#truth;
    const accepted = this.#accepted;
    this.#era += 1;
    this.#truth = emptyCluster();
    this.#finished = new Map();
    this.#accepted = new Set();
    this.#heard = new Map();
    this.#submitted = new Map();
    for (const record of records) {
      apply(this.#truth, record);
      this.#noteFinish(record, false);
    }
    for (const [id, { nodeId }] of before.attempts)
      if (this.#truth.attempts.get(id)?.nodeId !== nodeId)
        this.#orphans.add(`${this.#ports.machineOf(nodeId)?.name} ${id}`);
    for (const id of accepted) if (!this.#accepted.has(id)) this.#acknowledged.add(id);
  }

  /** A machine dials the head: hears what it is told. */
  onDial(machine: SimMachine): (message: HeadMessage) => void {
    const era = this.#era;
    return ({ message }) => {
      if (message?.$case !== 'delta') return;
      for (const { change } of message.value.changes) {
        if (change?.$case !== 'settle' && change?.$case !== 'discard' && change?.$case !== 'forget') continue;
        const { batchId, index, attempt } = change.value;
        const key = `${machine.name} ${batchId}.${index}.${attempt}`;
        const told = this.#told.get(key) ?? [];
        told.push({ kind: change.$case, era });
        this.#told.set(key, told);
      }
    };
  }

  /** Promise 1: no job whose finish was acknowledged runs again. And no attempt starts twice where it is remembered. */
  onStart(id: AttemptId, machine: SimMachine, output: string): void {
    const ref = parseAttemptId(id);
    if (!ref) return this.#ports.onBroken(`${id} is no attempt`);
    const job = `${ref.batchId}.${ref.index}`;
    const runs = this.#runs.get(id) ?? [];
    for (const run of runs) {
      // The disk has an attempt a moment after its start. Whoever has no memory of that has told nobody either, and is given it again.
      if (run.machine === machine && run.isForgotten && this.#truth.attempts.get(id)?.phase.kind === 'assigned')
        this.#tally.note('start forgotten with the power');
      else if (run.machine === machine && !this.#wasTold(machine, id, 'forget'))
        this.#ports.onBroken(`${id} starts a second time on ${machine.name}, which was never told to forget it`);
      else if (run.era === this.#era && !this.#isOrphan(run.machine, id) && !this.#isOrphan(machine, id))
        this.#ports.onBroken(`${id} starts a second time`);
    }
    if (runs.length > 0) this.#tally.note('number used again');
    this.#runs.set(id, [...runs, { machine, era: this.#era, output, isForgotten: false }]);
    // A machine may fall asleep between the look at the lease and the start, which nothing can prevent.
    if (this.#isOrphan(machine, id) || this.#isForgotten(ref) || machine.host.hasJustWoken) return;
    const live = this.#truth.attempts.get(id);
    // Promise 4: past its lease a node starts nothing new, for somebody else may have.
    const isAway = live && live.lapsedSinceMs !== undefined && !this.#truth.nodes.get(live.nodeId)?.connected;
    if (!live || isAway) this.#ports.onBroken(`${id} starts on ${machine.name} after its lease`);
    if (this.#finished.has(job)) this.#ports.onBroken(`${id} starts on ${machine.name} after its job has finished`);
  }

  /** Its power went and came again: this is what its disk has. */
  onRebooted(machine: SimMachine): void {
    const held = new Set(machine.held);
    for (const [id, runs] of this.#runs)
      for (const run of runs) if (run.machine === machine && !held.has(id)) run.isForgotten = true;
  }

  /** Promise 5: scratch is wiped only after the head has acknowledged; of what it does not know, nothing. */
  onWipe(id: AttemptId, machine: SimMachine): void {
    const process = machine.processIn(id);
    if (!process) return;
    if (!process.end) this.#ports.onBroken(`${id} is wiped on ${machine.name} while it runs`);
    if (process.end?.kind === 'lost') return;
    const told = this.#told.get(`${machine.name} ${id}`) ?? [];
    const live = this.#truth.attempts.get(id);
    if (live && this.#ports.machineOf(live.nodeId) === machine) {
      const isOld = this.#acknowledged.has(id) || told.some(({ era }) => era < this.#era);
      if (!isOld) this.#ports.onBroken(`${id} is wiped on ${machine.name} before the head has its archive`);
    }
    const ref = parseAttemptId(id);
    if (ref && !this.#truth.batches.has(ref.batchId) && !told.some(({ era }) => era < this.#era))
      this.#ports.onBroken(`${id}, of a batch that the head does not know, is wiped on ${machine.name}`);
  }

  /** Batches with jobs that have not ended for good. */
  unfinished(): string[] {
    return [...this.#truth.batches.values()].flatMap(({ name, rows: { counts } }) => {
      const open = counts.queued + counts.held + counts.live;
      return open > 0 ? [`${open} jobs of ${name} have not ended ${JSON.stringify(counts)}`] : [];
    });
  }

  /** Whether the head has any memory of the attempt's batch. */
  knows(id: AttemptId): boolean {
    const ref = parseAttemptId(id);
    return ref !== undefined && this.#truth.batches.has(ref.batchId);
  }

  /** Invariants of the state; slow. */
  stateViolations(): readonly string[] {
    return stateViolations(this.#truth);
  }

  /** What is wrong with an archive that should be complete. */
  archiveViolations(archive: SimArchive): string[] {
    return [...this.#truth.batches.values()].flatMap((batch) =>
      Array.from({ length: batch.rows.count }, (_, index) => index)
        .filter((index) => rowState(batch.rows, index) === 'succeeded')
        .flatMap((index) => this.#jobProblems(batch.id, index, archive) ?? []),
    );
  }

  #jobProblems(batchId: BatchId, index: number, { tree, removed, earlier }: SimArchive): string | undefined {
    const batch = this.#truth.batches.get(batchId);
    if (!batch) return undefined;
    const job = `${batchId}.${index}`;
    const attempt = batch.rows.attempts[index] ?? 0;
    const published = tree.get(job);
    const isDeleted = (this.#finished.get(job)?.seq ?? 0) < (batch.deleted?.seq ?? 0);
    if (isDeleted) return published && `${batch.name}/${index} was deleted and is in the archive`;
    // The log may have lost that somebody deleted it.
    if (removed.has(batchId) && this.#era > 0) return undefined;
    // What came of a retry was lost with it, before it was on the disk.
    if (!published && this.#era > 0 && earlier.get(job)?.includes(attempt)) return undefined;
    if (!published) return `${batch.name}/${index} succeeded and is not in the archive`;
    if (published.attempt !== attempt && this.#isLostRetry({ batchId, index, attempt }, published.attempt))
      return undefined;
    if (published.attempt !== attempt)
      return `${batch.name}/${index} succeeded with attempt ${attempt}, the archive shows ${published.attempt}`;
    const got = published.files.get('archive/result');
    const node = batch.rows.nodeIds[(batch.rows.node[index] ?? 0) - 1];
    const machine = node && this.#ports.machineOf(node);
    const runs = this.#runs.get(attemptId({ batchId, index }, attempt)) ?? [];
    const isWhole = runs.some((run) => run.machine === machine && run.output === got);
    return isWhole ? undefined : `the archive of ${batch.name}/${index} holds ${JSON.stringify(got)?.slice(0, 60)}`;
  }

  /** Whether the archive shows what came of a retry after the job had ended, and the log has lost that there was one. */
  #isLostRetry(ended: AttemptRef, shown: number): boolean {
    const endedIn = this.#acceptedIn.get(attemptId(ended, ended.attempt)) ?? 0;
    const shownIn = this.#acceptedIn.get(attemptId(ended, shown)) ?? -1;
    return shown > ended.attempt && shownIn >= endedIn && this.#acknowledged.has(attemptId(ended, shown));
  }

  /** What a node that is here holds is not given anew, be it to others or to itself. */
  #checkNumber(ref: AttemptRef, nodeId: NodeId): void {
    const id = attemptId(ref, ref.attempt);
    const { rows } = this.#truth.batches.get(ref.batchId) ?? {};
    const row = rows && rowState(rows, ref.index);
    if (row === 'live' && this.#truth.attempts.get(attemptId(ref, rows?.attempts[ref.index] ?? 0))?.lapsedSinceMs)
      this.#tally.note('replacement');
    if (this.#era === 0) return;
    if (this.#ports.machineOf(nodeId)?.holds(id)) return this.#tally.note('found attempt taken up');
    for (const node of this.#truth.nodes.values()) {
      const machine = this.#ports.machineOf(node.id);
      // What a node said of a batch before that came again (somebody who had no answer tried again), nobody has noted.
      const hasTold = (this.#heard.get(node.id) ?? 0) > (this.#submitted.get(ref.batchId) ?? 0);
      if (!node.connected || !hasTold || !machine?.holds(id)) continue;
      if (!this.#wasTold(machine, id, 'forget'))
        this.#ports.onBroken(`${id} is given to another node while ${machine.name} is here and holds it`);
    }
  }

  #noteFinish(record: LogRecord, isNew = true): void {
    const { event, seq } = record;
    if (event.kind === 'jobs-retried')
      for (const index of indicesIn(event.jobs)) this.#finished.delete(`${event.batchId}.${index}`);
    if (event.kind !== 'archive-accepted') return;
    const { batchId, index } = event.attempt;
    const job = `${batchId}.${index}`;
    if (isNew && this.#finished.has(job)) this.#ports.onBroken(`${job} was finished twice`);
    const id = attemptId(event.attempt, event.attempt.attempt);
    this.#accepted.add(id);
    if (isNew) this.#acceptedIn.set(id, this.#era);
    if (!event.requeued) this.#finished.set(job, { seq });
  }

  /** Whether the log has lost that it ever gave the attempt: nobody can tell its node to stop. */
  #isForgotten({ batchId, index, attempt }: AttemptRef): boolean {
    if (this.#era === 0) return false;
    return attempt > (this.#truth.batches.get(batchId)?.rows.attempts[index] ?? 0);
  }

  #isOrphan(machine: SimMachine, id: AttemptId): boolean {
    return this.#orphans.has(`${machine.name} ${id}`);
  }

  #wasTold(machine: SimMachine, id: AttemptId, kind: string): boolean {
    return (this.#told.get(`${machine.name} ${id}`) ?? []).some((told) => told.kind === kind);
  }
}
