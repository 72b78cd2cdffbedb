import { Level } from 'level';
import { diskLimits, makeBackoff } from '../../base/backoff.ts';
import { type Clock, delay } from '../../base/clock.ts';
import { Fault, isSystemError, messageOf } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import { makeFolder } from '../../base/make-folder.ts';
import type { Random } from '../../base/random.ts';
import { type AgentRecord, recordOver } from './agent-record.ts';
import { type Change, GroupWriter } from './group-writer.ts';
import { openReserve, type Reserve } from './reserve.ts';

/** How writes that the disk refuses are tried again. */
export interface Patience {
  readonly random: Random;
  /** Why what was to be written was not; empty: it was, after all. */
  told(why: string): void;
}

/**
 * Opens the record, making it (and the node id) at the first start. It keeps a reserve on its disk, `<folder>.reserve`, so
 * that a job that fills the disk neither ends the agent nor keeps it from starting again. With `patience`, a write that the
 * disk refuses (full without a reserve, read-only, failing) is repeated until it takes it: whoever waits for it waits, and
 * nothing is acknowledged before. Rejects with `Fault` "locked" while another agent has it open.
 */
export async function openRecord(
  folder: string,
  newNodeId: () => NodeId,
  clock: Clock,
  patience?: Patience,
): Promise<AgentRecord> {
  await makeFolder(folder, 0o700);
  const database = new Level<string, string>(folder);
  const reserve = await openReserve(`${folder}.reserve`);
  await withRoom(reserve, () => open(database, folder));
  const writeOnce = async (changes: readonly Change[], sync: boolean, isAnew: boolean) => {
    const batch = () => database.batch([...changes], { sync });
    const anew = async () => {
      // LevelDB does not trust its log any more after a write that failed; opening it anew begins another.
      await database.close();
      await open(database, folder);
      await batch();
    };
    await withRoom(reserve, isAnew ? anew : batch, anew);
    if (changes.some(({ type }) => type === 'del')) await reserve.refill();
  };
  const stopping = new AbortController();
  const write = async (changes: readonly Change[], sync: boolean) => {
    const backoff = patience && makeBackoff(diskLimits, patience.random);
    for (let tries = 0; ; tries++) {
      try {
        await writeOnce(changes, sync, tries > 0);
        if (tries > 0) patience?.told('');
        return;
      } catch (error) {
        const why = diskComplaint(error);
        if (backoff === undefined || why === undefined || stopping.signal.aborted) throw error;
        patience?.told(why);
        // Ended early when the agent stops; then one more try is the last.
        await delay(clock, backoff.nextMs(), stopping.signal).catch(() => undefined);
      }
    }
  };
  const record = await recordOver({
    entries: new Map(await database.iterator().all()),
    writer: new GroupWriter(write, clock),
    newNodeId,
    close: () => database.close(),
  });
  return Object.assign(record, {
    close: ((close) => () => {
      stopping.abort(new Error('the agent is stopping'));
      return close();
    })(record.close),
  });
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
  return said(error, /no space left|quota exceeded/i) !== undefined;
}

/** What a disk says that will take writes some day, or a process that will have descriptors again; nothing for the rest. */
function diskComplaint(error: unknown): string | undefined {
  return said(error, /(no space left|quota exceeded|read-only file system|input\/output error|too many open files)/i);
}

function said(error: unknown, what: RegExp): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const [found] = what.exec(error.message) ?? [];
  return found ?? said(error.cause, what);
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
