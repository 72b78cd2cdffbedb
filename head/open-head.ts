import { join } from 'node:path';
import { background } from '../base/background.ts';
import type { Address } from '../base/channel/address.ts';
import type { Clock } from '../base/clock.ts';
import { messageOf, RefusedError } from '../base/errors.ts';
import { type AttemptId, type ClusterId, parseAttemptId } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { makeFolder } from '../base/make-folder.ts';
import type { Random } from '../base/random.ts';
import { BurstRoom } from '../base/transfer/burst-room.ts';
import { version } from '../base/version.ts';
import type { HeadSettings } from '../config/head.ts';
import { BlobStore } from './archive/blobs.ts';
import { BuildLogs } from './archive/build-logs.ts';
import { BlobCollector } from './archive/collect-blobs.ts';
import { archiveIntake } from './archive/intake.ts';
import { ArchiveLayout } from './archive/layout.ts';
import { publish } from './archive/publish.ts';
import { PublishedMark } from './archive/published-mark.ts';
import { Publisher } from './archive/publisher.ts';
import { StageWriter } from './archive/stage-writer.ts';
import { liveFacts, Staging } from './archive/staging.ts';
import { Trash } from './archive/trash.ts';
import { TreeWriter } from './archive/tree-writer.ts';
import { certificateLifeMs, openAuthority } from './authority.ts';
import { Changes } from './changes.ts';
import { checkInBackground } from './check-in-background.ts';
import { readClusterId } from './data-folder.ts';
import { DiskWatch } from './disk-watch.ts';
import { Engine } from './engine.ts';
import { AttemptLimit } from './grpc/attempt-limit.ts';
import { openDoors } from './grpc/listen.ts';
import { noticeGap } from './notice-gap.ts';
import { noticeNodes } from './notice-nodes.ts';
import { noticeUnpublished } from './notice-unpublished.ts';
import { Notices } from './notices.ts';
import { pinnedBlobs } from './pins.ts';
import type { HeadEngine } from './ports.ts';
import { recoverSpec } from './recover-spec.ts';
import { retireBatches } from './retire-batches.ts';
import type { Command } from './scheduler/command.ts';
import type { ClusterState } from './scheduler/state.ts';
import { searchArchive } from './search-archive.ts';
import { Specs } from './specs.ts';
import { checkStartRoom } from './start-room.ts';
import type { LogDamage } from './store/event-log.ts';
import { openStore, type Store } from './store/open.ts';
import { openUsage } from './usage.ts';

/** How a head is opened. */
export interface HeadOptions {
  readonly dataFolder: string;
  readonly settings: HeadSettings;
  readonly address: Address;
  /** Listen there in plain text, on the loopback. */
  readonly plain: boolean;
  /** Go on although the log is damaged at its end. */
  readonly acceptLoss: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Called when the head cannot go on: the process must end, and a restart reads what the disk holds. */
  readonly onFatal: (error: unknown) => void;
}

/** A head that serves. */
export interface OpenHead {
  readonly clusterId: ClusterId;
  /** Where it listens; port 0 has become a real one. */
  readonly address: Address;
  /** Takes no more calls, writes a snapshot, and gives everything back. */
  close(): Promise<void>;
}

/** Opens a head on its data folder and serves. Throws `Fault` that says why not. */
export async function openHead(options: HeadOptions): Promise<OpenHead> {
  const { dataFolder, clock, random, log } = options;
  const { archiveFolder, heartbeatMs, leaseMs, diskReserveBytes, cancelGraceMs } = options.settings;
  const clusterId = await readClusterId(dataFolder);
  await checkStartRoom(dataFolder);
  await makeFolder(archiveFolder);
  const store = await openStore(dataFolder, { acceptLoss: options.acceptLoss });
  if (store.accepted) log.error({ ...store.accepted }, 'the log was damaged: the head goes on without its end');
  for (const seq of store.damagedSnapshots)
    log.error(
      { seq },
      'a snapshot is damaged: the head starts from the one before it and the log, and nothing is lost',
    );
  // Until it is known what of the log is not yet in the archive.
  store.keepFrom(() => 0);
  let nowMs = () => clock.nowMs();
  const notices = new Notices(log, () => nowMs());
  const folders = { database: dataFolder, inputs: join(dataFolder, 'blobs'), archive: archiveFolder };
  const disks = new DiskWatch({ folders, reserveBytes: diskReserveBytes, clock, log, notices });
  const trees = new TreeWriter();
  const closing: (() => Promise<void> | undefined | void)[] = [() => trees.close(), () => disks.close()];
  let state: ClusterState = store.draft;
  try {
    await makeFolder(folders.inputs);
    await disks.start();
    const engine = new Engine({
      clock,
      log: store,
      draft: store.draft,
      diskProblem: () => disks.problem('database'),
      onFatal: options.onFatal,
    });
    nowMs = () => engine.nowMs();
    closing.push(() => engine.close());
    engine.subscribe((_records, now) => {
      state = now;
      background(store.snapshotIfDue(now));
    });
    const ports = await openArchive(options, {
      ...{ clusterId, archiveFolder, trees, disks, notices, lastSeq: store.log.position.seq },
      engine: facing(engine, store),
    });
    let sweeping: Promise<void> | undefined;
    let stopping = false;
    closing.push(
      () => sweeping,
      () => {
        stopping = true;
        return ports.close();
      },
    );
    closing.push(noticeGap(engine, notices), noticeNodes(engine, notices));
    await begin(engine, { kind: 'start-head', version, clusterId }, store.accepted);
    await searchArchive({ ...ports, notices });
    await ports.publisher.start();
    store.keepFrom(() => ports.publisher.pendingSeq);
    ports.usage.archive.start();
    sweeping = sweepStaging(engine, ports, notices).catch((error: unknown) => {
      // Leftovers only take room; the next start tries again. A head that stops has been told to leave them.
      if (!stopping) log.warn({ error: messageOf(error) }, 'cannot sweep what attempts have left');
    });
    const authority = await openAuthority({ dataFolder, clusterId, lifeMs: certificateLifeMs, clock, random });
    closing.push(() => authority.close());
    const enrolLimit = new AttemptLimit(clock);
    const backup = {
      ...{ clusterId, version, clock, dataFolder, archiveFolder, blobs: ports.blobs },
      pinned: async () => (await pinnedBlobs(ports.engine, ports.specs)).wanted,
      copyDatabase: (...how: Parameters<Store['copyTo']>) => store.copyTo(...how),
    };
    const doors = await openDoors(
      { ...ports, backup, notices, heartbeatMs, leaseMs, cancelGraceMs, authority, enrolLimit, random },
      { ...options, clusterId, authority },
    );
    closing.push(() => doors.close());
    background(reportDamage(store, log));
    closing.push(checkInBackground({ ...ports, notices }, ports.publisher, log));
    closing.push(retireBatches({ ...ports, notices, nowMs: () => engine.nowMs() }));
    return { clusterId, address: doors.address, close: () => closeAll(closing, () => store.close(state)) };
  } catch (error) {
    await closeAll(closing, () => store.abandon());
    throw error;
  }
}

/**
 * Says that the head has started. What was lost is told after it, for then nobody is connected any more and nothing is given
 * out on old knowledge; and both in one write, so that a head which is killed in between forgets no loss.
 */
async function begin(
  engine: Engine,
  start: Extract<Command, { kind: 'start-head' }>,
  lost: LogDamage | undefined,
): Promise<void> {
  const actor = { kind: 'system', name: 'head' } as const;
  const told = lost ? [start, shortened(lost)] : [start];
  for (const verdict of await Promise.all(told.map((command) => engine.submit(actor, command))))
    if (verdict.kind === 'refused') throw new RefusedError(verdict);
}

/** Blobs, archive and what reads them, beside the engine. */
async function openArchive(
  { dataFolder, settings, clock, random, log }: HeadOptions,
  has: {
    readonly clusterId: ClusterId;
    readonly archiveFolder: string;
    readonly engine: HeadEngine;
    readonly trees: TreeWriter;
    readonly disks: DiskWatch;
    readonly notices: Notices;
    /** Of the log, as it was found. */
    readonly lastSeq: number;
  },
) {
  const { clusterId, archiveFolder, engine, trees, disks, notices } = has;
  const layout = new ArchiveLayout(archiveFolder);
  const usage = openUsage(settings.quotas, { clock, log, layout, engine });
  const blobs = new BlobStore(join(dataFolder, 'blobs'), clock, usage.inputs);
  await blobs.start();
  const specs = new Specs(blobs, (hash) => recoverSpec({ engine, layout, blobs, log }, hash));
  const files = new StageWriter();
  const burst = new BurstRoom(clock);
  const staging = new Staging({ layout, files, usage: usage.staging, ...liveFacts(engine) });
  await staging.start();
  const trash = new Trash(join(layout.stagingFolder, 'trash'), log);
  await trash.start();
  const publishing = { trash, layout, engine, staging, specs, blobs, trees, version, log, usage: usage.archive };
  const mark = new PublishedMark(join(layout.stagingFolder, 'published'), clock);
  await mark.notBeyond(has.lastSeq);
  const publisher = new Publisher({
    engine,
    mark,
    disks,
    clock,
    random,
    log,
    publish: (records) => publish(publishing, records),
    stuck: noticeUnpublished(engine, notices),
  });
  const changes = new Changes(engine);
  const collector = new BlobCollector(blobs, clock, () => pinnedBlobs(engine, specs), log);
  collector.start();
  return {
    ...{ engine, clusterId, clock, log, version, disks, burst },
    ...{ layout, blobs, specs, staging, publisher, changes, usage, buildLogs: new BuildLogs() },
    intake: archiveIntake({ staging, publisher, disks, clock, random }),
    async close() {
      await collector.close();
      changes.close();
      await publisher.close();
      await trash.close();
      await usage.archive.close();
      await staging.close();
      await files.close();
      burst.close();
    },
  };
}

/**
 * Attempts that are over left files only if they were never accepted. What this log has never given may have been
 * accepted in an end that it has lost: that is kept, and named.
 */
async function sweepStaging(
  engine: Engine,
  ports: { readonly staging: Staging; readonly publisher: Publisher },
  notices: Notices,
) {
  let strange = 0;
  const isKept = (ids: readonly AttemptId[]) =>
    engine.query((state) =>
      ids.map((id) => {
        if (state.attempts.has(id)) return true;
        if (!isUnknown(state, id)) return false;
        strange += 1;
        return true;
      }),
    );
  await ports.staging.sweep(isKept, () => ports.publisher.idle());
  if (strange === 0) return;
  const what = `${strange} attempts that this head has no memory of left files in .staging of the archive`;
  notices.say('strange staging', `${what}: kept there, for somebody to look at and remove`);
}

function isUnknown(state: ClusterState, id: AttemptId): boolean {
  const ref = parseAttemptId(id);
  if (ref && state.retired.has(ref.batchId)) return false;
  const rows = ref && state.batches.get(ref.batchId)?.rows;
  return !rows || (rows.attempts[ref.index] ?? 0) < ref.attempt;
}

/** What is told of a loss that was accepted. */
function shortened({ seq, lastSeq }: LogDamage): Extract<Command, { kind: 'note-shortened' }> {
  const message = `the head goes on without ${lastSeq - seq + 1} damaged events (${seq} to ${lastSeq})`;
  return { kind: 'note-shortened', how: 'accepted', message };
}

/** The engine and its log, as the doors see them. */
function facing(engine: Engine, store: Store): HeadEngine {
  return {
    submit: (actor, command) => engine.submit(actor, command),
    query: (read, whenFull) => engine.query(read, whenFull),
    subscribe: (listener) => engine.subscribe(listener),
    oldest: () => store.log.oldest(),
    records: (since) => store.log.read(since),
  };
}

/** Old records that cannot be believed lose events people could have read, and nothing else. */
async function reportDamage(store: Store, log: Log): Promise<void> {
  const damage = await store.checkHistory();
  if (damage)
    log.error({ ...damage }, 'old records of the log are damaged; the state is not, but their events are lost');
}

/** Closes in reverse order of opening, and the store last. */
async function closeAll(
  closing: readonly (() => Promise<void> | void)[],
  closeStore: () => Promise<void>,
): Promise<void> {
  for (const close of [...closing].reverse()) await close();
  await closeStore();
}
