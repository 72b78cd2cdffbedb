import { mkdir } from 'node:fs/promises';
import { Level } from 'level';
import type { Clock } from '../../base/clock.ts';
import { Fault, isSystemError, messageOf } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import { type AgentRecord, recordOver } from './agent-record.ts';
import { type Change, GroupWriter } from './group-writer.ts';
import { openReserve, type Reserve } from './reserve.ts';

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
  return await recordOver({
    entries: new Map(await database.iterator().all()),
    writer: new GroupWriter(write, clock),
    newNodeId,
    close: () => database.close(),
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
