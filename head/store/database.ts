import { Level } from 'level';
import { Fault, isSystemError } from '../../base/errors.ts';

/** The head's database: bytes under bytes. Opened once; LevelDB's own lock keeps a second head out. */
export type Database = Level<Buffer, Buffer>;

/** Opens (or makes) the database in a folder. A second head on the same data gets a sentence that says so. */
export async function openDatabase(folder: string): Promise<Database> {
  const database: Database = new Level(folder, { keyEncoding: 'buffer', valueEncoding: 'buffer', compression: false });
  try {
    await database.open();
    return database;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (isSystemError(cause, 'LEVEL_LOCKED')) {
      throw new Fault('locked', `Cannot open ${folder}: another head is running on this data`, { cause: error });
    }
    throw new Fault('database', `Cannot open the database in ${folder}: ${String(cause ?? error)}`, { cause: error });
  }
}
