import type { Needs } from '../../config/spec.ts';
import { formatNeed, offers } from './capability.ts';
import type { Submission } from './event.ts';
import { isAsleep } from './lease.ts';
import type { ClusterState, Node } from './state.ts';
import { doingText, yieldText } from './yielding.ts';

/** Whether a node can take a job: `never` while it is what it is, `later` when something frees up or comes back. */
export type Fit =
  | { readonly kind: 'fits' }
  | { readonly kind: 'later'; readonly reason: string }
  | { readonly kind: 'never'; readonly reason: string };

/** Cores a job takes on a node: what it asks for, or all of them. */
export function coresFor(needs: Needs, node: Node): number {
  return needs.cpus === 0 ? node.facts.cpus : needs.cpus;
}

/** Cores of a node's live attempts, those assigned beyond its free slots included. */
export function coresTaken(state: ClusterState, node: Node): number {
  let taken = 0;
  for (const id of node.attempts) taken += state.attempts.get(id)?.cpus ?? 0;
  return taken;
}

/** Whether a node could ever run such a job, whatever else it does now. Both the job's needs and its build's count. */
export function suits(part: Submission, needs: Needs, node: Node): Fit {
  const lacking = [...needs.capabilities, ...(part.buildNeeds?.capabilities ?? [])].filter(
    (need) => !offers(node.facts, need),
  );
  if (lacking.length > 0) return { kind: 'never', reason: `lacks ${[...new Set(lacking.map(formatNeed))].join(', ')}` };
  if (needs.cpus > node.facts.cpus)
    return { kind: 'never', reason: `has ${node.facts.cpus} cpus, needs ${needs.cpus}` };
  const unknown = part.features.filter((feature) => !node.features.includes(feature));
  if (unknown.length > 0)
    return { kind: 'never', reason: `runs labrun ${node.version}, which does not know ${unknown.join(', ')}` };
  const failure = node.failedBuilds.get(part.buildDigest);
  if (part.buildDigest !== '' && failure) return { kind: 'never', reason: `failed to build it: ${failure.message}` };
  return { kind: 'fits' };
}

/** Whether a node can take such a job now, beside what it has (`taken` cores). */
export function fits(part: Submission, needs: Needs, node: Node, taken: number, nowMs: number): Fit {
  const ever = suits(part, needs, node);
  if (ever.kind !== 'fits') return ever;
  if (!node.connected) return { kind: 'later', reason: isAsleep(node, nowMs) ? 'is asleep' : 'is away' };
  // What the node or a person says comes first: a rest of seconds only follows from it.
  const kept = keptFree(node);
  if (kept !== undefined) return { kind: 'later', reason: kept };
  if (node.restsUntilMs > nowMs) return { kind: 'later', reason: 'rests after it ran out of something' };
  const quarantined = quarantineReason(node, nowMs);
  if (quarantined !== undefined) return { kind: 'later', reason: quarantined };
  const cores = coresFor(needs, node);
  const free = node.facts.cpus - taken;
  if (free >= cores) return { kind: 'fits' };
  return { kind: 'later', reason: `has ${Math.max(0, free)} of ${node.facts.cpus} cpus free, needs ${cores}` };
}

/** Why no new job goes to a node that is here: its disk is full, somebody has drained it, or it yields to the person at its desk. */
export function keptFree({ trouble, drained, yielding }: Node): string | undefined {
  if (trouble !== '') return `takes no jobs: ${trouble}`;
  if (drained) {
    const reason = drained.reason === '' ? '' : `: "${drained.reason}"`;
    const doing = yielding && doingText(yielding);
    return `is drained by ${drained.by.name}${reason}; ${doing === undefined ? 'what runs there goes on' : `it ${doing}`}`;
  }
  return yielding && !yielding.takesJobs ? (yieldText(yielding) ?? 'takes no new jobs') : undefined;
}

/** Why a quarantined node gets no job now; nothing when it may have its canary. */
function quarantineReason({ name, quarantine }: Node, nowMs: number): string | undefined {
  if (!quarantine) return undefined;
  const { untilMs, evidence, canary } = quarantine;
  if (canary !== undefined) return `is quarantined (${evidence}); one job tries it now`;
  if (untilMs <= nowMs) return undefined;
  return `is quarantined (${evidence}); one job tries it in ${Math.ceil((untilMs - nowMs) / 60_000)} min; "labrun undrain ${name}" frees it`;
}
