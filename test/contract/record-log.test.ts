import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogRecord } from '../../head/scheduler/event.ts';
import { openDatabase } from '../../head/store/database.ts';
import { EventLog, logStart } from '../../head/store/event-log.ts';
import { MemoryLog, type RecordLog } from '../kit/memory-log.ts';
import { aConnect, aSubmit, liveOn, PureHead, returned, someGroup, staged, theCluster } from '../kit/state.ts';

interface Opened {
  readonly log: RecordLog;
  close(): Promise<void>;
}

/** One suite for every log: the head must not be able to tell them apart. */
function keepsTheContract(name: string, open: () => Promise<Opened>): void {
  describe(`the ${name}`, () => {
    let opened: Opened;
    beforeEach(async () => {
      opened = await open();
    });
    afterEach(() => opened.close());

    it('gives back every record as it was written, in order', async () => {
      const written = aStory();
      await opened.log.append(written.slice(0, 3));
      await opened.log.append(written.slice(3));
      expect(await all(opened.log, 1)).toEqual(written);
    });

    it('reads from the middle, and nothing from beyond the end', async () => {
      const written = aStory();
      await opened.log.append(written);
      expect(await all(opened.log, 4)).toEqual(written.slice(3));
      expect(await all(opened.log, written.length + 1)).toEqual([]);
    });

    it('is empty at first, and an empty append changes nothing', async () => {
      await opened.log.append([]);
      expect(await opened.log.oldest()).toBe(0);
      expect(await all(opened.log, 1)).toEqual([]);
    });

    it('reads in pages up to where the log ended when reading began', async () => {
      await opened.log.append(starts(1, 2_500));
      const pages: number[] = [];
      for await (const page of opened.log.read(1)) {
        if (pages.length === 0) await opened.log.append(starts(2_501, 10));
        pages.push(page.length);
      }
      expect(Math.max(...pages)).toBeLessThanOrEqual(1_000);
      expect(pages.reduce((sum, length) => sum + length, 0)).toBe(2_500);
      expect(await all(opened.log, 2_501)).toEqual(starts(2_501, 10));
    });

    it('forgets what it is told to, says where it begins now, and goes on', async () => {
      await opened.log.append(starts(1, 50));
      await opened.log.trim(21);
      expect(await opened.log.oldest()).toBe(21);
      await opened.log.append(starts(51, 5));
      expect((await all(opened.log, 1)).map((record) => record.seq)).toEqual(
        Array.from({ length: 35 }, (_, at) => 21 + at),
      );
    });
  });
}

keepsTheContract('log on disk', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'labrun-log-'));
  const database = await openDatabase(folder);
  const close = async () => {
    await database.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { log: new EventLog(database, logStart), close };
});

keepsTheContract('log in memory', async () => ({ log: new MemoryLog(), close: async () => undefined }));

/** Records of a small lab's day, with most kinds of events. */
function aStory(): LogRecord[] {
  const head = new PureHead();
  head.take({ kind: 'start-head', version: '0.1.0', clusterId: theCluster });
  head.take(aConnect(1, { cpus: 2, capabilities: { gfortran: '13', gpu: '' } }));
  head.take(aSubmit(1, { groups: [someGroup({ count: 6, retries: 1 })], buildDigest: 'blake3:build' }));
  const [first, second, third] = liveOn(head);
  if (!first || !second || !third) throw new Error('three jobs are placed');
  head.take({ kind: 'progress-attempt', nodeId: first.nodeId, attempt: first.ref, phase: 'running', startedMsAgo: 0 });
  head.take(staged(first));
  head.take(staged(second, { state: 'failed', reason: 'exit', message: 'exit 3' }));
  head.take(returned(third, 'recalled'));
  head.take({ kind: 'hold', batchId: first.ref.batchId, jobs: [3, 2] });
  head.take({ kind: 'cancel', batchId: first.ref.batchId, jobs: [0, 6] });
  return head.records;
}

/** `count` records of heads that started, from number `first`. */
function starts(first: number, count: number): LogRecord[] {
  return Array.from({ length: count }, (_, at) => ({
    seq: first + at,
    atMs: first + at,
    actor: { kind: 'system', name: 'head' },
    event: { kind: 'head-started', epoch: first + at, version: '0.1.0', clusterId: theCluster },
  }));
}

async function all(log: RecordLog, from: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const page of log.read(from)) records.push(...page);
  return records;
}
