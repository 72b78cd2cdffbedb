import type { AttemptRef } from './attempt.ts';
import type { EndState, Event } from './event.ts';
import { coresFor, coresTaken, fits, suits } from './fit.ts';
import { buildExclusionMs, leaseMs, placementsMax } from './limits.ts';
import { type Queue, waitingRows } from './queue.ts';
import { compareNodes, coresByPerson, openBatches, roomIn } from './rank.ts';
import type { Batch, ClusterState, Node } from './state.ts';

/** What should happen now: jobs placed, prefilled ones asked back, batches whose end is reached. */
export interface Plan {
  readonly events: readonly Event[];
  /** The plan was cut at `placementsMax`: ask again. */
  readonly more: boolean;
}

/**
 * Who runs where. Works on queues (one a group of like jobs) and nodes, not on jobs: a queue none of whose jobs fit is
 * looked at once. First free cores, then one wave of prefill on nodes that are full, so that the next job is there when
 * a slot frees; what was prefilled is recalled when another node could start it now.
 */
export function place(state: ClusterState, nowMs: number): Plan {
  const events: Event[] = [...endings(state)];
  const table = new Placement(state, nowMs);
  table.fill('free');
  table.replaceLapsed();
  if (events.length + table.events.length === 0) table.recall();
  table.fill('prefill');
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

  constructor(state: ClusterState, nowMs: number) {
    this.#state = state;
    this.#nowMs = nowMs;
    this.#people = coresByPerson(state);
    this.#nodes = [...state.nodes.values()].filter((node) => node.connected);
    for (const node of this.#nodes) this.#taken.set(node, coresTaken(state, node));
  }

  /** Places jobs, the next always from the person who runs least, until nothing more fits. */
  fill(how: 'free' | 'prefill'): void {
    const open = openBatches(this.#state);
    const closed = new Set<Queue>();
    while (this.events.length < placementsMax && this.#anyRoom(how)) {
      open.sort((a, b) => this.#coresOf(a) - this.#coresOf(b) || (a.id < b.id ? -1 : 1));
      if (!open.some((batch) => this.#placeOne(batch, how, closed))) return;
    }
  }

  /** Jobs whose node has been silent past its lease start again elsewhere, on a free slot only. */
  replaceLapsed(): void {
    for (const attempt of this.#state.attempts.values()) {
      if (attempt.lapsedSinceMs === undefined || attempt.cancelling) continue;
      const batch = this.#state.batches.get(attempt.ref.batchId);
      const queue = batch?.queues.find((candidate) => holds(candidate, batch, attempt.ref.index));
      if (batch && queue) this.#assign(batch, queue, attempt.ref.index, 'free');
    }
  }

  /** Asks back one job that only waits on its node while another node could start it now. */
  recall(): void {
    for (const attempt of this.#state.attempts.values()) {
      const holder = this.#state.nodes.get(attempt.nodeId);
      if (attempt.phase.kind !== 'assigned' || attempt.recalled || attempt.cancelling || !holder?.connected) continue;
      if (coresTaken(this.#state, holder) <= holder.facts.cpus) continue;
      const batch = this.#state.batches.get(attempt.ref.batchId);
      const queue = batch?.queues.find((candidate) => holds(candidate, batch, attempt.ref.index));
      const part = batch?.parts[queue?.part ?? -1];
      if (!queue || !part) continue;
      const better = this.#nodes.find(
        (node) =>
          node !== holder && fits(part, queue.needs, node, this.#taken.get(node) ?? 0, this.#nowMs).kind === 'fits',
      );
      if (!better) continue;
      this.#taken.set(better, (this.#taken.get(better) ?? 0) + coresFor(queue.needs, better));
      this.events.push({ kind: 'attempt-recalled', attempt: attempt.ref });
    }
  }

  #placeOne(batch: Batch, how: 'free' | 'prefill', closed: Set<Queue>): boolean {
    if (roomIn(batch) - (this.#placed.get(batch) ?? 0) <= 0) return false;
    for (const queue of batch.queues) {
      if (queue.queued === 0 || closed.has(queue)) continue;
      if (!this.#bestNode(batch, queue, how)) {
        closed.add(queue);
        continue;
      }
      const rows = this.#waiting.get(queue) ?? waitingRows(queue, batch.rows);
      this.#waiting.set(queue, rows);
      const next = rows.next();
      if (next.done) closed.add(queue);
      else if (this.#assign(batch, queue, next.value, how)) return true;
    }
    return false;
  }

  #assign(batch: Batch, queue: Queue, index: number, how: 'free' | 'prefill'): boolean {
    const node = this.#bestNode(batch, queue, how);
    if (!node) return false;
    const cpus = coresFor(queue.needs, node);
    const attempt: AttemptRef = { batchId: batch.id, index, attempt: (batch.rows.attempts[index] ?? 0) + 1 };
    this.events.push({ kind: 'attempt-assigned', attempt, nodeId: node.id, cpus });
    this.#taken.set(node, (this.#taken.get(node) ?? 0) + cpus);
    this.#placed.set(batch, (this.#placed.get(batch) ?? 0) + 1);
    const person = batch.submittedBy.name;
    this.#people.set(person, (this.#people.get(person) ?? 0) + cpus);
    return true;
  }

  #bestNode(batch: Batch, queue: Queue, how: 'free' | 'prefill'): Node | undefined {
    const part = batch.parts[queue.part];
    if (!part) return undefined;
    const fitting = this.#nodes.filter((node) => {
      const taken = this.#taken.get(node) ?? 0;
      if (how === 'free') return fits(part, queue.needs, node, taken, this.#nowMs).kind === 'fits';
      // One wave ahead at most: what is assigned beyond the node's cores never exceeds its cores.
      return (
        suits(part, queue.needs, node).kind === 'fits' && taken + coresFor(queue.needs, node) <= 2 * node.facts.cpus
      );
    });
    return fitting.sort(compareNodes(part, queue.needs, this.#taken))[0];
  }

  #anyRoom(how: 'free' | 'prefill'): boolean {
    const factor = how === 'free' ? 1 : 2;
    return this.#nodes.some((node) => (this.#taken.get(node) ?? 0) < factor * node.facts.cpus);
  }

  #coresOf(batch: Batch): number {
    return this.#people.get(batch.submittedBy.name) ?? 0;
  }
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

function holds(queue: Queue, batch: Batch, index: number): boolean {
  const specIndex = batch.rows.specIndex[index] ?? -1;
  return queue.part === batch.rows.part[index] && specIndex >= queue.specFirst && specIndex < queue.specEnd;
}

/** When something happens by itself next, on the head's clock: a lease or an exclusion runs out. */
export function nextDeadlineMs(state: ClusterState): number | undefined {
  let next: number | undefined;
  const consider = (atMs: number) => {
    if (next === undefined || atMs < next) next = atMs;
  };
  for (const node of state.nodes.values()) {
    if (!node.connected && hasUnlapsed(state, node)) consider(node.sinceMs + leaseMs);
    if (node.restsUntilMs > state.atMs) consider(node.restsUntilMs);
    for (const failure of node.failedBuilds.values()) consider(failure.atMs + buildExclusionMs);
  }
  return next;
}

/** Whether a node holds an attempt that has not lapsed yet. */
export function hasUnlapsed(state: ClusterState, node: Node): boolean {
  for (const id of node.attempts) if (state.attempts.get(id)?.lapsedSinceMs === undefined) return true;
  return false;
}
