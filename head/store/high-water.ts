import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import { crc32c } from './checksum.ts';

/**
 * How far the log has come, kept beside the database. LevelDB may lose the end of its own log to one damaged byte
 * without a word; then this knows better. Written after each synced append without a sync of its own, so it may lag
 * behind the log after a power cut, and never leads.
 */
export class HighWater {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, existsSync(path) ? 'r+' : 'w+', 0o600);
  }

  /** Notes the last record that is on disk. */
  note(seq: number): void {
    const mark = Buffer.alloc(12);
    mark.writeBigUInt64LE(BigInt(seq));
    mark.writeUInt32LE(crc32c(mark.subarray(0, 8)), 8);
    writeSync(this.#file, mark, 0, mark.length, 0);
  }

  close(): void {
    closeSync(this.#file);
  }

  /** The last record noted; 0 where there is no readable mark. */
  static read(path: string): number {
    if (!existsSync(path)) return 0;
    const mark = readFileSync(path);
    if (mark.length < 12 || crc32c(mark.subarray(0, 8)) !== mark.readUInt32LE(8)) return 0;
    return Number(mark.readBigUInt64LE());
  }
}
