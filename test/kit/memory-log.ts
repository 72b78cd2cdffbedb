import { assert } from '../../base/assert.ts';
import type { LogRecord } from '../../head/scheduler/event.ts';
import type { EventLog } from '../../head/store/event-log.ts';

/** What the head asks of a log, whichever it is. */
export type RecordLog = Pick<EventLog, 'append' | 'read' | 'oldest' | 'trim'>;

/** A log that keeps its records in memory: the twin of the one on disk. */
export class MemoryLog implements RecordLog {
  #records: LogRecord[] = [];
  #lastSeq = 0;

  async append(records: readonly LogRecord[]): Promise<void> {
    for (const record of records) {
      assert(record.seq === this.#lastSeq + 1, 'records are written without gaps');
      this.#records.push(structuredClone(record));
      this.#lastSeq = record.seq;
    }
  }

  async *read(seq: number): AsyncGenerator<readonly LogRecord[]> {
    const there = this.#records.filter((record) => record.seq >= seq);
    for (let first = 0; first < there.length; first += 1000)
      yield there.slice(first, first + 1000).map((record) => structuredClone(record));
  }

  async oldest(): Promise<number> {
    return this.#records[0]?.seq ?? 0;
  }

  async trim(seq: number): Promise<void> {
    this.#records = this.#records.filter((record) => record.seq >= seq);
  }
}
