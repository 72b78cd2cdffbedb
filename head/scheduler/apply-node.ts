import { assert } from '../../base/assert.ts';
import type { AttemptId, BatchId, NodeId } from '../../base/ids.ts';
import type { ClusterDraft, NodeDraft } from './draft.ts';
import type { Event, NodeFacts } from './event.ts';
import { lastShortageMs, restMs } from './limits.ts';
import type { Node } from './state.ts';
import type { Yielding } from './yielding.ts';

/** A node is here. Its failed builds are kept unless what it has is different now. */
export function applyConnected(
  draft: ClusterDraft,
  event: Extract<Event, { kind: 'node-connected' }>,
  atMs: number,
): void {
  const before = draft.nodes.get(event.nodeId);
  draft.nodes.set(event.nodeId, {
    id: event.nodeId,
    name: event.name,
    version: event.version,
    features: event.features,
    bootId: event.bootId,
    facts: event.facts,
    connected: true,
    sinceMs: atMs,
    leaseMs: event.leaseMs,
    builds: new Set(event.builds),
    failedBuilds: before && sameCapabilities(before.facts, event.facts) ? before.failedBuilds : new Map(),
    restsUntilMs: 0,
    shortages: new Map(),
    quarantine: before?.quarantine,
    yielding: before?.yielding,
    drained: before?.drained,
    trouble: before?.trouble ?? '',
    attempts: before?.attempts ?? new Set(),
  });
}

/** A node is away; its lease runs from now. */
export function applyDisconnected(draft: ClusterDraft, nodeId: NodeId, atMs: number): void {
  draft.nodes.set(nodeId, { ...nodeOf(draft, nodeId), connected: false, sinceMs: atMs });
}

/** A node has something else now: builds that failed there may be tried again. */
export function applyNodeFacts(draft: ClusterDraft, nodeId: NodeId, facts: NodeFacts): void {
  const node = nodeOf(draft, nodeId);
  const failedBuilds = sameCapabilities(node.facts, facts) ? node.failedBuilds : new Map<string, never>();
  draft.nodes.set(nodeId, { ...node, facts, failedBuilds, shortages: new Map() });
}

/**
 * A node has run out of something and takes nothing for a while. When that happens with one batch again and again it is no
 * affair of the others: from the second time on it is left alone with that batch, for twice as long each time.
 */
export function noteShortage(draft: ClusterDraft, nodeId: NodeId, batchId: BatchId, atMs: number): void {
  const node = nodeOf(draft, nodeId);
  const known = node.shortages.get(batchId);
  // What was assigned together comes back together.
  if (known && atMs < known.untilMs) return;
  const times = (known?.times ?? 0) + 1;
  node.shortages.set(batchId, { times, untilMs: atMs + Math.min(lastShortageMs, restMs * 2 ** (times - 1)) });
  if (times === 1) draft.nodes.set(nodeId, { ...node, restsUntilMs: atMs + restMs });
}

/** A node gets no jobs for a while. When it is tried again, every batch knows as little of it as of a new one. */
export function quarantineNode(
  draft: ClusterDraft,
  event: Extract<Event, { kind: 'node-quarantined' }>,
  atMs: number,
): void {
  const { nodeId, untilMs, canariesFailed, evidence, batchId, message } = event;
  const node = nodeOf(draft, nodeId);
  const sinceMs = node.quarantine?.sinceMs ?? atMs;
  const quarantine = { sinceMs, untilMs, canariesFailed, evidence, batchId, message, canary: undefined };
  draft.nodes.set(nodeId, { ...node, quarantine });
  for (const batch of draft.batches.values()) batch.trials.delete(nodeId);
}

/** A node gets jobs again. */
export function freeNode(draft: ClusterDraft, nodeId: NodeId): void {
  draft.nodes.set(nodeId, { ...nodeOf(draft, nodeId), quarantine: undefined });
}

/** A node does something else for the person at its desk. */
export function noteYield(draft: ClusterDraft, nodeId: NodeId, yielding: Yielding): void {
  draft.nodes.set(nodeId, { ...nodeOf(draft, nodeId), yielding });
}

/** Somebody keeps jobs from a node, or no longer. */
export function drainNode(draft: ClusterDraft, nodeId: NodeId, drained: Node['drained']): void {
  draft.nodes.set(nodeId, { ...nodeOf(draft, nodeId), drained });
}

/** A node can take no jobs, or again. */
export function troubleNode(draft: ClusterDraft, nodeId: NodeId, trouble: string): void {
  const node = nodeOf(draft, nodeId);
  // What it lacked it may have again.
  draft.nodes.set(nodeId, { ...node, trouble, shortages: trouble === '' ? new Map() : node.shortages });
}

/** A quarantined node has its canary, or no longer. */
export function noteCanary(draft: ClusterDraft, nodeId: NodeId, canary: AttemptId | undefined): void {
  const node = nodeOf(draft, nodeId);
  if (node.quarantine) draft.nodes.set(nodeId, { ...node, quarantine: { ...node.quarantine, canary } });
}

/** A build is ready on a node. */
export function noteBuild(draft: ClusterDraft, nodeId: NodeId, digest: string): void {
  const node = nodeOf(draft, nodeId);
  node.builds.add(digest);
  node.failedBuilds.delete(digest);
}

/** A build failed on a node, which excludes the node for it for a while. */
export function noteBuildFailure(
  draft: ClusterDraft,
  nodeId: NodeId,
  digest: string,
  message: string,
  atMs: number,
): void {
  const node = nodeOf(draft, nodeId);
  node.builds.delete(digest);
  node.failedBuilds.set(digest, { message, atMs });
}

/** A build is neither ready nor failed any more, on one node or on all. */
export function forgetBuild(draft: ClusterDraft, nodeId: NodeId | undefined, digest: string): void {
  for (const node of nodeId === undefined ? draft.nodes.values() : [nodeOf(draft, nodeId)]) {
    if (nodeId !== undefined) node.builds.delete(digest);
    node.failedBuilds.delete(digest);
  }
}

function nodeOf(draft: ClusterDraft, nodeId: NodeId): NodeDraft {
  const node = draft.nodes.get(nodeId);
  assert(node, 'events name nodes that exist');
  return node;
}

/** Whether two descriptions of a machine name the same capabilities in the same versions. */
export function sameCapabilities(one: NodeFacts, other: NodeFacts): boolean {
  const [a, b] = [Object.entries(one.capabilities), Object.entries(other.capabilities)];
  return a.length === b.length && a.every(([name, version]) => other.capabilities[name] === version);
}
