import { RefusedError, refused } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { BackupProgress, BackupRequest, UpkeepServer } from '../../proto/gen/labrun/v1/upkeep.ts';
import { readableBy } from '../access.ts';
import { type BackupMade, type BackupPorts, makeBackup } from '../backup/make-backup.ts';
import { Bell } from '../changes.ts';
import type { Notices } from '../notices.ts';
import type { HeadEngine } from '../ports.ts';
import type { Door } from './door.ts';
import { type CallFacts, serverStream, unary } from './handle.ts';

/** What the door of upkeep needs. */
export interface UpkeepPorts {
  readonly backup: BackupPorts;
  readonly notices: Notices;
  readonly engine: Pick<HeadEngine, 'query'>;
  readonly log: Log;
}

/** What keeps a head in order. */
export function upkeepService(ports: UpkeepPorts, door: Door): UpkeepServer {
  return {
    backup: serverStream(door, 'head.backup', (request, facts) => backUp(ports, request, facts)),
    notices: unary(door, 'cluster.read', async (_request, { pass }) => {
      const mayRead = await ports.engine.query(({ access }) => readableBy(access, pass.who));
      const told = ports.notices.list().filter(({ namespace }) => namespace === undefined || mayRead(namespace));
      return { notices: told.map(({ text, sinceMs }) => ({ text, sinceMs: BigInt(sinceMs) })) };
    }),
  };
}

/** Tells how far it is, never faster than the caller reads. */
async function* backUp(
  { backup, log }: UpkeepPorts,
  { folder }: BackupRequest,
  { pass, signal }: CallFacts,
): AsyncGenerator<BackupProgress> {
  if (pass.certificate) {
    // The folder is one of the head's machine: who may not open its socket has no business there.
    throw new RefusedError(
      refused('invalid', 'Cannot make a backup over the network: run it on the head\'s machine, with "--data FOLDER"'),
    );
  }
  const bell = new Bell(() => {});
  let now: { step: string; bytes: number } = { step: 'database', bytes: 0 };
  let over = false;
  const tell = (step: string, bytes: number) => {
    now = { step, bytes };
    bell.ring();
  };
  const making = makeBackup(backup, folder, tell, signal).finally(() => {
    over = true;
    bell.ring();
  });
  // Whoever has gone hears nothing more; what the signal stops is cleaned up all the same.
  making.catch((error: unknown) => log.warn({ folder, error: String(error) }, 'no backup was made'));
  while (!over) {
    await bell.next(signal);
    if (signal.aborted) break;
    if (!over) yield { step: now.step, bytes: BigInt(now.bytes), summary: undefined };
  }
  const made = await making;
  log.info({ folder, seq: made.seq }, 'a backup was made');
  yield { step: 'complete', bytes: BigInt(made.databaseBytes + made.inputBytes), summary: summaryOf(made, backup) };
}

function summaryOf(made: BackupMade, { archiveFolder }: BackupPorts) {
  return {
    seq: BigInt(made.seq),
    databaseBytes: BigInt(made.databaseBytes),
    inputFiles: BigInt(made.inputFiles),
    inputBytes: BigInt(made.inputBytes),
    linkedFiles: BigInt(made.linkedFiles),
    missingInputs: [...made.missing],
    archiveFolder,
  };
}
