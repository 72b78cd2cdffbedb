import type { NodeId } from '../../base/ids.ts';
import { farAhead, wavesAhead } from './ahead.ts';
import type { Attempt, AttemptRef } from './attempt.ts';
import type { EndState, Event } from './event.ts';
import { coresFor, coresTaken, fits, keptFree, suits } from './fit.ts';
import { rowState } from './job-rows.ts';
import { farAheadMaxMs, lapsedPatienceMs, placementsMax } from './limits.ts';
import { mayLoseAnother } from './losses.ts';
import { lastNumber, settlesUntilMs } from './numbers.ts';
import { PlanTrials } from './plan-trials.ts';
import { findQueue, waitingRows } from './queue.ts';
import { compareNodes, coresByPerson, openBatches, roomIn } from './rank.ts';
import type { Batch, ClusterState, Node, Queue } from './state.ts';

/** What should happen now: jobs placed, prefilled ones asked back, batches whose end is reached. */
export interface Plan {
  readonly events: readonly Event[];
  /** The plan was cut at `placementsMax`: ask again. */
  readonly more: boolean;
}

/**
 * Who runs where. Works on queues (one a group of like jobs) and nodes, not on jobs: a queue none of whose jobs fit is
 * looked at once. First free cores, then prefill on nodes that are full, so that the next job is there when a slot frees;
 * what was prefilled is recalled when another node could start it now.
 */
export function place(state: ClusterState, nowMs: number): Plan {
  const events: Event[] = [...endings(state)];
  if (settlesUntilMs(state, nowMs) !== undefined) return { events, more: false };
  const table = new Placement(state, nowMs);
  table.replaceLapsed('long ago');
  table.fill('free');
  table.replaceLapsed('lately');
  table.fill('prefill');
  table.recallFarAhead();
  // Last, for it counts promised room as taken.
  if (events.length + table.events.length === 0) table.recall();
  return { events: [...events, ...table.events], more: table.events.length >= placementsMax };
}

class Placement {
  readonly events: Event[] = [];
  readonly #state: ClusterState;
  readonly #nowMs: number;
  readonly #taken = new Map<Node, number>();
  readonly #people: Map<string, number>;
  readonly #nodes: readonly Node[];
  /** Rows already used of each queue. */
  readonly #waiting = new Map<Queue, Generator<number>>();
  readonly #placed = new Map<Batch, number>();
  /** Waiting jobs that not every node may run, of each batch. */
  readonly #choosy = new Map<Batch, Set<number>>();
  /** Nodes where somebody who comes first waits for more room than there is: nobody behind them is to take it. */
  readonly #kept = new Set<Node>();
  /** Quarantined nodes that this plan gives a job. */
  readonly #canaries = new Set<Node>();
  /** Of jobs that a node may have waiting beyond its cores. */
  #waves = 1;
  readonly #trials: PlanTrials;

  constructor(state: ClusterState, nowMs: number) {
    this.#state = state;
    this.#nowMs = nowMs;
    this.#trials = new PlanTrials(state, nowMs);
    this.#people = coresByPerson(state);
    this.#nodes = [...state.nodes.values()].filter((node) => node.connected);
    for (const node of this.#nodes) this.#taken.set(node, coresTaken(state, node));
  }

  /** Places jobs, the next always from the person who runs least, until nothing more fits. */
  fill(how: 'free' | 'prefill'): void {
    const open = openBatches(this.#state);
    if (how === 'prefill') this.#waves = wavesAhead(open, this.#nowMs);
    const closed: Closed = { queues: new Set(), choosy: new Map() };
    while (this.events.length < placementsMax && this.#anyRoom(how)) {
      open.sort(
        (a, b) => this.#coresOf(a) - this.#coresOf(b) || a.submittedAtMs - b.submittedAtMs || (a.id < b.id ? -1 : 1),
      );
      if (!open.some((batch) => this.#placeOne(batch, how, closed))) return;
    }
  }

  /**
   * Jobs whose node has been silent past its lease, and still is, start again elsewhere, on a free slot only. Where there is
   * always more to do no slot would ever be free: those that have waited for long come before the queues and have room kept
   * for them, which is fair, for their cores count as their owner's all the time.
   */
  replaceLapsed(when: 'long ago' | 'lately'): void {
    const longAgoMs = this.#nowMs - lapsedPatienceMs;
    for (const attempt of this.#state.attempts.values()) {
      const { lapsedSinceMs } = attempt;
      if (lapsedSinceMs === undefined || attempt.cancelling) continue;
      if (lapsedSinceMs <= longAgoMs !== (when === 'long ago')) continue;
      // A node that is back tells by itself what it still has.
      if (this.#state.nodes.get(attempt.nodeId)?.connected) continue;
      const batch = this.#state.batches.get(attempt.ref.batchId);
      // One whose nodes keep falling silent waits for the last of them: nothing is given up, and no further node goes.
      if (attempt.phase.kind !== 'assigned' && !mayLoseAnother(batch, attempt.ref.index)) continue;
      const queue = batch && findQueue(batch.queues, batch.rows, attempt.ref.index);
      const node = batch && queue && this.#bestNode(batch, queue, 'free', attempt.ref.index);
      if (node) this.#assign(batch, queue, attempt.ref.index, node);
      else if (batch && queue && when === 'long ago') this.#keepRoom(batch, queue, attempt.ref.index);
    }
  }

  /** Asks back what was given far ahead and is not as short as was thought. */
  recallFarAhead(): void {
    if (this.#waves > 1) return;
    for (const node of this.#nodes)
      for (const { ref, sinceMs } of farAhead(this.#state, node))
        if (this.#nowMs - sinceMs >= farAheadMaxMs) this.events.push({ kind: 'attempt-recalled', attempt: ref });
  }

  /** Asks back jobs that only wait on their node while other nodes could start them now, the last assigned first. */
  recall(): void {
    if (!this.#anyRoom('free')) return;
    const beyond = [...this.#state.attempts.values()].filter(
      ({ phase, cancelling, nodeId }) => phase.kind === 'assigned' && !cancelling && this.#isOverfull(nodeId),
    );
    // Those asked back before come first: the room they were promised is not promised twice.
    for (const attempt of beyond) if (attempt.recalled) this.#reserveElsewhere(attempt);
    for (const attempt of beyond.reverse()) {
      if (this.events.length >= placementsMax) return;
      if (!attempt.recalled && this.#isOverfull(attempt.nodeId) && this.#reserveElsewhere(attempt))
        this.events.push({ kind: 'attempt-recalled', attempt: attempt.ref });
    }
  }

  /** Whether a node that is here has more assigned than it can run at once. */
  #isOverfull(nodeId: NodeId): boolean {
    const node = this.#state.nodes.get(nodeId);
    return node?.connected === true && (this.#taken.get(node) ?? 0) > node.facts.cpus;
  }

  /** Counts an attempt on another node that could start it now; false when there is none. */
  #reserveElsewhere(attempt: Attempt): boolean {
    const batch = this.#state.batches.get(attempt.ref.batchId);
    const queue = batch && findQueue(batch.queues, batch.rows, attempt.ref.index);
    const part = batch?.parts[queue?.part ?? -1];
    if (!batch || !queue || !part) return false;
    const { index } = attempt.ref;
    const holder = this.#state.nodes.get(attempt.nodeId);
    const better = this.#nodes.find(
      (node) =>
        node !== holder &&
        !node.quarantine &&
        fits(part, queue.needs, node, this.#taken.get(node) ?? 0, this.#nowMs).kind === 'fits' &&
        this.#trials.allow(batch, queue, node, index),
    );
    if (!better || !holder) return false;
    this.#trials.note(batch, better);
    this.#taken.set(better, (this.#taken.get(better) ?? 0) + coresFor(queue.needs, better));
    this.#taken.set(holder, (this.#taken.get(holder) ?? 0) - attempt.cpus);
    return true;
  }

  #placeOne(batch: Batch, how: 'free' | 'prefill', closed: Closed): boolean {
    if (roomIn(batch) - (this.#placed.get(batch) ?? 0) <= 0) return false;
    if (this.#placeChoosy(batch, how, closed)) return true;
    for (const queue of batch.queues) {
      if (queue.queued === 0 || closed.queues.has(queue)) continue;
      const node = this.#bestNode(batch, queue, how);
      const index = node || how === 'prefill' ? this.#nextPlain(batch, queue) : undefined;
      if (node && index !== undefined) {
        this.#assign(batch, queue, index, node);
        return true;
      }
      if (index !== undefined) this.#keepRoom(batch, queue);
      closed.queues.add(queue);
    }
    return false;
  }

  /** Places one of the jobs that not every node may run: they have waited before. */
  #placeChoosy(batch: Batch, how: 'free' | 'prefill', closed: Closed): boolean {
    const waiting = this.#choosyOf(batch);
    // Room only shrinks in a wave: each job is looked at once, and of those that are alike one for all.
    const { left, hopeless } = closed.choosy.get(batch) ?? { left: waiting.values(), hopeless: new Set<string>() };
    closed.choosy.set(batch, { left, hopeless });
    for (let next = left.next(); !next.done; next = left.next()) {
      const index = next.value;
      const queue = findQueue(batch.queues, batch.rows, index);
      if (!queue) continue;
      const kind = `${queue.part} ${queue.specFirst} ${batch.secondTries.get(index)?.nodeId ?? ''} ${[...(batch.exclusions.get(index) ?? [])]}`;
      if (hopeless.has(kind)) continue;
      const node = this.#bestNode(batch, queue, how, index);
      if (node) {
        waiting.delete(index);
        this.#assign(batch, queue, index, node);
        return true;
      }
      if (how === 'prefill') this.#keepRoom(batch, queue, index);
      hopeless.add(kind);
    }
    return false;
  }

  /**
   * What room is left where a job could wait if there were more of it is left to that job. Narrow ones of those who come
   * later would take each core as it becomes free, and a wide one wait for ever. It keeps no core idle: what is free has
   * been given out before.
   */
  #keepRoom(batch: Batch, queue: Queue, index?: number): void {
    for (const node of this.#nodes) {
      if (this.#kept.has(node) || !this.#mayWait(batch, queue, node)) continue;
      if (this.#trials.allow(batch, queue, node, index)) this.#kept.add(node);
    }
  }

  #choosyOf(batch: Batch): Set<number> {
    let waiting = this.#choosy.get(batch);
    if (!waiting) {
      const indices = [...batch.secondTries.keys(), ...batch.exclusions.keys()];
      const queued = indices.filter((index) => rowState(batch.rows, index) === 'queued');
      waiting = new Set(queued.sort((a, b) => a - b));
      this.#choosy.set(batch, waiting);
    }
    return waiting;
  }

  #nextPlain(batch: Batch, queue: Queue): number | undefined {
    const rows = this.#waiting.get(queue) ?? waitingRows(queue, batch.rows);
    this.#waiting.set(queue, rows);
    for (let next = rows.next(); !next.done; next = rows.next())
      if (!batch.secondTries.has(next.value) && !batch.exclusions.has(next.value)) return next.value;
    return undefined;
  }

  #assign(batch: Batch, queue: Queue, index: number, node: Node): void {
    const cpus = coresFor(queue.needs, node);
    const attempt: AttemptRef = { batchId: batch.id, index, attempt: lastNumber(batch, index) + 1 };
    this.events.push({ kind: 'attempt-assigned', attempt, nodeId: node.id, cpus });
    this.#taken.set(node, (this.#taken.get(node) ?? 0) + cpus);
    this.#placed.set(batch, (this.#placed.get(batch) ?? 0) + 1);
    this.#trials.note(batch, node);
    if (node.quarantine) this.#canaries.add(node);
    const person = batch.submittedBy.name;
    this.#people.set(person, (this.#people.get(person) ?? 0) + cpus);
  }

  /** The best node for the queue's next job, or for one that not every node may run. */
  #bestNode(batch: Batch, queue: Queue, how: 'free' | 'prefill', index?: number): Node | undefined {
    const part = batch.parts[queue.part];
    if (!part) return undefined;
    const fitting = this.#nodes.filter((node) => {
      const taken = this.#taken.get(node) ?? 0;
      if (this.#canaries.has(node)) return false;
      if (how === 'free')
        return (
          fits(part, queue.needs, node, taken, this.#nowMs).kind === 'fits' &&
          this.#trials.allow(batch, queue, node, index)
        );
      return (
        !this.#kept.has(node) &&
        this.#mayWait(batch, queue, node) &&
        taken + coresFor(queue.needs, node) <= (1 + this.#waves) * node.facts.cpus &&
        this.#trials.allow(batch, queue, node, index)
      );
    });
    return fitting.sort(compareNodes(part, queue.needs, this.#taken))[0];
  }

  /** Whether a node that is full may have such a job waiting there, as far as it is the node's affair. */
  #mayWait(batch: Batch, queue: Queue, node: Node): boolean {
    const part = batch.parts[queue.part];
    return (
      part !== undefined &&
      node.restsUntilMs <= this.#nowMs &&
      !node.quarantine &&
      keptFree(node) === undefined &&
      suits(part, queue.needs, node).kind === 'fits'
    );
  }

  #anyRoom(how: 'free' | 'prefill'): boolean {
    const factor = how === 'free' ? 1 : 1 + this.#waves;
    return this.#nodes.some((node) => (this.#taken.get(node) ?? 0) < factor * node.facts.cpus);
  }

  #coresOf(batch: Batch): number {
    return this.#people.get(batch.submittedBy.name) ?? 0;
  }
}

/** What a wave has found to have no place, and looks at no more. */
interface Closed {
  readonly queues: Set<Queue>;
  readonly choosy: Map<Batch, { readonly left: Iterator<number>; readonly hopeless: Set<string> }>;
}

/** Batches in which nothing waits or lives any more. */
function* endings(state: ClusterState): Generator<Event> {
  for (const batchId of state.finished) {
    const counts = state.batches.get(batchId)?.rows.counts;
    if (!counts) continue;
    const end: EndState = counts.failed > 0 ? 'failed' : counts.cancelled > 0 ? 'cancelled' : 'succeeded';
    yield { kind: 'batch-ended', batchId, state: end };
  }
}
