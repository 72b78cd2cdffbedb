import type { NodeId } from '../../base/ids.ts';
import type { Batch, ClusterState, Node, Queue } from './state.ts';
import { heldBack, isProven, type LiveByNode, liveByNode, shortage, triedElsewhere } from './trial.ts';

/** Which nodes a plan may give jobs of a batch, by how the batch has fared there, with what the plan itself has added. */
export class PlanTrials {
  readonly #state: ClusterState;
  readonly #nowMs: number;
  /** Made when first asked for: most plans place nothing. */
  #live: LiveByNode | undefined;
  readonly #elsewhere = new Map<Batch, ReadonlyMap<NodeId, number>>();
  /** Attempts that this plan adds on nodes where a batch has no success yet. */
  readonly #added = new Map<Batch, Map<Node, number>>();

  constructor(state: ClusterState, nowMs: number) {
    this.#state = state;
    this.#nowMs = nowMs;
  }

  /** Whether nothing that is known of the batch's failures speaks against the node, for the job at `index` or for any of the queue. */
  allow(batch: Batch, queue: Queue, node: Node, index: number | undefined): boolean {
    if (shortage(node, batch.id, this.#nowMs) !== undefined) return false;
    this.#live ??= liveByNode(this.#state);
    const elsewhere = this.#elsewhere.get(batch) ?? triedElsewhere(this.#state, batch);
    this.#elsewhere.set(batch, elsewhere);
    const added = this.#added.get(batch)?.get(node) ?? 0;
    const back = heldBack(this.#state, batch, queue, node, {
      index,
      onTrial: (this.#live.get(batch.id)?.get(node.id) ?? 0) + added,
      elsewhere: elsewhere.get(node.id) ?? 0,
    });
    return back === undefined;
  }

  /** The plan gives the node a job of the batch. */
  note(batch: Batch, node: Node): void {
    if (isProven(batch, node.id)) return;
    const added = this.#added.get(batch) ?? new Map<Node, number>();
    added.set(node, (added.get(node) ?? 0) + 1);
    this.#added.set(batch, added);
  }
}
