import { Fault } from '../../base/errors.ts';
import { type AttemptId, asClusterId, asNodeId, type ClusterId, type NodeId } from '../../base/ids.ts';
import type { Attempt } from '../attempts/attempt.ts';
import { readAttempt, writeAttempt } from './attempt-text.ts';
import type { GroupWriter } from './group-writer.ts';

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
  /** What the desk has remembered; nothing in a new record. */
  readonly desk: string | undefined;
  noteDesk(text: string): void;
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

/** The layout of these keys and of what they hold; a record without the key has the first. */
const format = 1;
const formatKey = 'format';
const nodeKey = 'node';
const clusterKey = 'cluster';
const bootKey = 'boot';
const deskKey = 'desk';
const attemptPrefix = 'attempt!';
/** Order of assignment outlives a restart: keys of attempts carry a number that only grows. */
const orderDigits = 14;

/** Where a record lies. */
export interface RecordPlace {
  /** What is there, by key. */
  readonly entries: ReadonlyMap<string, string>;
  readonly writer: GroupWriter;
  readonly newNodeId: () => NodeId;
  close(): Promise<void>;
}

/** The record that lies at a place. It makes a node id where there is none; rejects with `Fault` when it cannot be read, "unsupported" when a newer labrun wrote it. */
export async function recordOver({ entries, writer, newNodeId, close }: RecordPlace): Promise<AgentRecord> {
  const written = Number(entries.get(formatKey) ?? 1);
  if (!(written <= format)) {
    throw new Fault(
      'unsupported',
      `Cannot use the agent's record: a newer labrun wrote it (format ${written}, this one reads ${format}); install that labrun again, jobs go on meanwhile`,
    );
  }
  if (!entries.has(formatKey)) writer.add({ type: 'put', key: formatKey, value: String(format) });
  const keys = new Map<AttemptId, string>();
  const attempts: Attempt[] = [];
  let order = 0;
  for (const key of [...entries.keys()].filter((name) => name.startsWith(attemptPrefix)).sort()) {
    const attempt = readAttempt(key, entries.get(key) ?? '');
    keys.set(attempt.id, key);
    attempts.push(attempt);
    order = Number(key.slice(attemptPrefix.length, attemptPrefix.length + orderDigits));
  }
  let nodeId = asNodeId(entries.get(nodeKey) ?? '');
  if (!nodeId) {
    nodeId = newNodeId();
    writer.add({ type: 'put', key: nodeKey, value: nodeId });
    await writer.durable();
  }
  let clusterId = asClusterId(entries.get(clusterKey) ?? '');
  const bootId = entries.get(bootKey);
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
    desk: entries.get(deskKey),
    noteDesk: (text) => writer.add({ type: 'put', key: deskKey, value: text }),
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
      await close();
    },
  };
}
