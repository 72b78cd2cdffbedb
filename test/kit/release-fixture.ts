import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apply } from '../../head/scheduler/apply.ts';
import { emptyCluster } from '../../head/scheduler/draft.ts';
import type { LogRecord } from '../../head/scheduler/event.ts';
import { violations } from '../../head/scheduler/invariants.ts';
import { rowNode, rowReason, rowState } from '../../head/scheduler/job-rows.ts';
import type { ClusterState } from '../../head/scheduler/state.ts';
import { copyOut } from '../../head/store/copy-out.ts';
import { openDatabase } from '../../head/store/database.ts';
import { openStore } from '../../head/store/open.ts';
import { repository } from './program.ts';
import { releaseStory } from './release-story.ts';

/** Where the fixtures of releases are, one folder each. */
export const releasesFolder = join(repository, 'test/fixtures/releases');

/** Writes the story as this version does: a snapshot in its middle, and the records around it. Answers what it means. */
export async function writeReleaseFixture(path: string): Promise<unknown> {
  const story = releaseStory();
  const missing = missingKinds(story);
  // A fixture that lacks a kind of event would say nothing about it for ever.
  if (missing.length > 0) throw new Error(`The story of test/kit/release-story.ts lacks: ${missing.join(', ')}`);
  const folder = mkdtempSync(join(tmpdir(), 'labrun-fixture-'));
  try {
    const middle = Math.floor(story.length * 0.7);
    for (const [records, ending] of [
      [story.slice(0, middle), 'snapshot'],
      [story.slice(middle), 'tail'],
    ] as const) {
      const store = await openStore(folder, { acceptLoss: false });
      for (const record of records) apply(store.draft, record);
      await store.append(records);
      if (ending === 'snapshot') await store.close(store.draft);
      else await store.abandon();
    }
    const database = await openDatabase(join(folder, 'log'));
    await copyOut(database, path, () => {}, new AbortController().signal);
    await database.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
  const state = emptyCluster();
  for (const record of story) apply(state, record);
  const broken = violations(state);
  if (broken.length > 0) throw new Error(broken.join('\n'));
  return meaningOf(state);
}

/** What a state says, in words that later releases have, too. */
export function meaningOf(state: ClusterState): unknown {
  const batches = [...state.batches.values()].map((batch) => ({
    batch: `${batch.namespace}/${batch.name}`,
    id: batch.id,
    by: batch.submittedBy.name,
    ended: batch.ended?.state ?? null,
    deletedBy: batch.deleted?.by.name ?? null,
    parts: batch.parts.map(({ specHash, groups, buildDigest }) => [
      specHash,
      groups.map(({ count }) => count),
      buildDigest,
    ]),
    jobs: Array.from({ length: batch.rows.count }, (_, index) =>
      [
        rowState(batch.rows, index),
        batch.rows.attempts[index],
        rowNode(batch.rows, index) ?? '',
        rowReason(batch.rows, index) ?? '',
        batch.rows.exitCode[index],
        batch.rows.part[index],
        batch.rows.specIndex[index],
        batch.rows.messages.get(index) ?? '',
        batch.found.get(index) ?? 0,
        batch.rows.pausedMs.get(index) ?? 0,
      ].join(' '),
    ),
    keptFrom: [...batch.exclusions].map(([index, nodes]) => [index, [...nodes]]),
  }));
  const { access } = state;
  return {
    seq: state.seq,
    epoch: state.epoch,
    cluster: state.clusterId,
    names: Object.fromEntries(state.batchByName),
    batches,
    attempts: [...state.attempts].map(
      ([id, { nodeId, phase, cancelling, requeueing, lapsedSinceMs, pausedMs }]) =>
        `${id} ${nodeId} ${phase.kind}${cancelling ? ' cancelling' : ''}${requeueing ? ' requeueing' : ''}${
          lapsedSinceMs === undefined ? '' : ' lapsed'
        } ${pausedMs}`,
    ),
    retired: [...state.retired.values()].map(({ id, name, counts }) => [id, name, counts]),
    gap: state.gap ?? null,
    nodes: [...state.nodes.values()].map((node) => ({
      ...{ id: node.id, name: node.name, connected: node.connected },
      ...{ builds: [...node.builds], failedBuilds: [...node.failedBuilds.keys()] },
      ...{ cpus: node.facts.cpus, capabilities: { ...node.facts.capabilities } },
      ...{ trouble: node.trouble, drained: node.drained ?? null, yielding: node.yielding ?? null },
      quarantine: node.quarantine ?? null,
    })),
    tokens: [...access.tokens.values()].map(({ id, usesLeft }) => `${id} ${usesLeft}`),
    users: [...access.users.values()].map(({ name, admin, certificates }) => [name, admin, [...certificates.keys()]]),
    members: [...access.members].map(([id, { name, owner }]) => [id, name, owner]),
    namespaces: [...access.namespaces.values()].map(({ name, owner, members, readable, full }) => [
      ...[name, owner, [...members], readable, full],
    ]),
    formerNodes: Object.fromEntries(access.formerNodes),
  };
}

/** The kinds of events that the log may hold and a story does not. */
export function missingKinds(story: readonly LogRecord[]): readonly string[] {
  const told = new Set<string>(story.map(({ event }) => event.kind));
  const proto = readFileSync(join(repository, 'proto/labrun/store/v1/log.proto'), 'utf8');
  const oneof = /message Event \{\s*oneof event \{([^}]*)\}/.exec(proto)?.[1] ?? '';
  const kinds = [...oneof.matchAll(/ ([a-z_]+) = \d+;/g)].map(([, name]) => (name ?? '').replaceAll('_', '-'));
  if (kinds.length < 50) throw new Error(`Cannot read the kinds of events from log.proto: found ${kinds.length}`);
  return kinds.filter((kind) => !told.has(kind));
}
