import { nameKey } from '../../base/names.ts';
import type { Needs } from '../../config/spec.ts';
import type { Submission } from './event.ts';
import type { Batch, ClusterState, Node } from './state.ts';

/** Live cores of each person, for fairness: whoever runs least comes first. */
export function coresByPerson(state: ClusterState): Map<string, number> {
  const cores = new Map<string, number>();
  for (const attempt of state.attempts.values()) {
    const person = state.batches.get(attempt.ref.batchId)?.submittedBy.name ?? '';
    cores.set(person, (cores.get(person) ?? 0) + attempt.cpus);
  }
  return cores;
}

/** Batches with waiting jobs that may start more, in the order submitted; none of a namespace that is full. */
export function openBatches(state: ClusterState): Batch[] {
  const open = [...state.batches.values()].filter((batch) => batch.rows.counts.queued > 0 && roomIn(batch) > 0);
  const full = [...state.access.namespaces.values()].filter((namespace) => namespace.full !== '');
  if (full.length === 0) return open;
  const keys = new Set(full.map(({ name }) => nameKey(name)));
  return open.filter(({ namespace }) => !keys.has(nameKey(namespace)));
}

/** Why no job of a namespace starts, or nothing. */
export function fullness(state: ClusterState, namespace: string): string | undefined {
  return state.access.namespaces.get(nameKey(namespace))?.full || undefined;
}

/** How many more jobs of a batch may live. */
export function roomIn(batch: Batch): number {
  return batch.maxRunning === 0 ? Number.POSITIVE_INFINITY : batch.maxRunning - batch.rows.counts.live;
}

/**
 * The better node of two for a job, as a comparison. Not quarantined, giving all it has, built already, then least scarce (fewest capabilities the job has
 * no use for, a GPU counting most), then the one whose owner is least likely to come, and the one with most room.
 */
export function compareNodes(part: Submission, needs: Needs, taken: ReadonlyMap<Node, number>) {
  const wanted = new Set(needs.capabilities.map((need) => need.name));
  const score = (node: Node) => ({
    doubted: node.quarantine ? 1 : 0,
    slowed: node.yielding && node.yielding.step !== 'none' ? 1 : 0,
    built: part.buildDigest !== '' && node.builds.has(part.buildDigest) ? 0 : 1,
    scarce: scarcity(node, wanted, needs),
    disturbed: disturbance(node),
    free: node.facts.cpus - (taken.get(node) ?? 0),
  });
  return (one: Node, other: Node): number => {
    const [a, b] = [score(one), score(other)];
    return (
      a.doubted - b.doubted ||
      a.slowed - b.slowed ||
      a.built - b.built ||
      a.scarce - b.scarce ||
      a.disturbed - b.disturbed ||
      b.free - a.free ||
      (one.name < other.name ? -1 : 1)
    );
  };
}

/**
 * How likely its owner is to come within the hour, in tenths: finer differences are no reason to leave a node with more
 * room. Of one that yields and has not learned it yet, nobody knows.
 */
function disturbance({ facts, yielding }: Node): number {
  if (facts.dedicated || yielding === undefined) return 0;
  return Math.floor((yielding.interruptionPerMille ?? 500) / 100);
}

/** What a node offers that the job would waste. */
function scarcity(node: Node, wanted: ReadonlySet<string>, needs: Needs): number {
  const wasted = Object.keys(node.facts.capabilities).filter((name) => !wanted.has(name));
  return wasted.length + (needs.gpus === 0 && !wanted.has('gpu') ? node.facts.gpus * 100 : 0);
}
