import { mkdir } from 'node:fs/promises';
import { Level } from 'level';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError, messageOf } from '../../base/errors.ts';
import { type AttemptId, asClusterId, asNodeId, type ClusterId, type NodeId } from '../../base/ids.ts';
import type { Attempt } from '../attempts/attempt.ts';
import { readAttempt, writeAttempt } from './attempt-text.ts';
import { type Change, GroupWriter } from './group-writer.ts';
import { openReserve, type Reserve } from './reserve.ts';

/** What the agent must still know after it was killed. One writer; opening it a second time is refused. */
export interface AgentRecord {
  readonly nodeId: NodeId;
  /** The cluster it belongs to; none before its first welcome. */
  readonly clusterId: ClusterId | undefined;
  /** Durable when it resolves. */
  joinCluster(clusterId: ClusterId): Promise<void>;
  /** As it was recorded, in the order assigned. */
  readonly attempts: readonly Attempt[];
  /** Start of the machine under which it was written; none in a new one. */
  readonly bootId: string | undefined;
  noteBoot(bootId: string): void;
  /** Takes the attempt as it is now. */
  save(attempt: Attempt): void;
  remove(id: AttemptId): void;
  /** Resolves when everything saved and removed so far would be found by an agent started after this one was killed. */
  written(): Promise<void>;
  /** Resolves when it would be found after a power cut, too. */
  durable(): Promise<void>;
  /** The same without hurry: everything goes to the disk within a moment. */
  durableSoon(): Promise<void>;
  close(): Promise<void>;
}

const nodeKey = 'node';
const clusterKey = 'cluster';
const bootKey = 'boot';
const attemptPrefix = 'attempt!';
/** Order of assignment outlives a restart: keys of attempts carry a number that only grows. */
const orderDigits = 14;

/**
 * Opens the record, making it (and the node id) at the first start. It keeps a reserve on its disk, `<folder>.reserve`, so
 * that a job that fills the disk neither ends the agent nor keeps it from starting again. Rejects with `Fault` "locked" while another agent
 * has it open.
 */
export async function openRecord(folder: string, newNodeId: () => NodeId, clock: Clock): Promise<AgentRecord> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const database = new Level<string, string>(folder);
  const reserve = await openReserve(`${folder}.reserve`);
  await withRoom(reserve, () => open(database, folder));
  const write = async (changes: readonly Change[], sync: boolean) => {
    const batch = () => database.batch([...changes], { sync });
    await withRoom(reserve, batch, async () => {
      // LevelDB does not trust its log any more after a write that failed; opening it anew begins another.
      await database.close();
      await open(database, folder);
      await batch();
    });
    if (changes.some(({ type }) => type === 'del')) await reserve.refill();
  };
  const writer = new GroupWriter(write, clock);
  const keys = new Map<AttemptId, string>();
  const attempts: Attempt[] = [];
  let order = 0;
  for await (const [key, text] of database.iterator({ gt: attemptPrefix, lt: `${attemptPrefix}~` })) {
    const attempt = readAttempt(key, text);
    keys.set(attempt.id, key);
    attempts.push(attempt);
    order = Number(key.slice(attemptPrefix.length, attemptPrefix.length + orderDigits));
  }
  let nodeId = asNodeId((await database.get(nodeKey)) ?? '');
  if (!nodeId) {
    nodeId = newNodeId();
    writer.add({ type: 'put', key: nodeKey, value: nodeId });
    await writer.durable();
  }
  let clusterId = asClusterId((await database.get(clusterKey)) ?? '');
  const bootId = await database.get(bootKey);
  const keyOf = (id: AttemptId) => {
    const known = keys.get(id);
    if (known !== undefined) return known;
    const key = `${attemptPrefix}${String(++order).padStart(orderDigits, '0')}!${id}`;
    keys.set(id, key);
    return key;
  };
  return {
    nodeId,
    attempts,
    bootId,
    noteBoot: (now) => writer.add({ type: 'put', key: bootKey, value: now }),
    get clusterId() {
      return clusterId;
    },
    joinCluster(id) {
      clusterId = id;
      writer.add({ type: 'put', key: clusterKey, value: id });
      return writer.durable();
    },
    save: (attempt) => writer.add({ type: 'put', key: keyOf(attempt.id), value: writeAttempt(attempt) }),
    remove(id) {
      const key = keys.get(id);
      if (key === undefined) return;
      keys.delete(id);
      writer.add({ type: 'del', key });
    },
    written: () => writer.written(),
    durable: () => writer.durable(),
    durableSoon: () => writer.durableSoon(),
    async close() {
      await writer.durable();
      await database.close();
    },
  };
}

/** Does what a full disk may forbid; then the reserve makes room for one more try. */
async function withRoom(reserve: Reserve, act: () => Promise<void>, again = act): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isFull(error) || !(await reserve.release())) throw error;
    await again();
  }
}

/** LevelDB hands the system's complaint on as text, and its wrappers put it into causes. */
function isFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /no space left|quota exceeded/i.test(error.message) || isFull(error.cause);
}

async function open(database: Level<string, string>, folder: string): Promise<void> {
  try {
    await database.open();
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (isSystemError(cause, 'LEVEL_LOCKED')) {
      throw new Fault('locked', `Cannot use the data directory of "${folder}": another agent is running on it`, {
        cause: error,
      });
    }
    throw new Fault('record', `Cannot open the agent's record "${folder}": ${messageOf(cause ?? error)}`, {
      cause: error,
    });
  }
}
