import type { BatchId } from '../../base/ids.ts';
import type { Event, LogRecord } from '../scheduler/event.ts';

/** An event that changes the archive. */
export interface ArchiveRecord extends LogRecord {
  readonly event: Extract<
    Event,
    {
      kind:
        | 'batch-submitted'
        | 'batch-extended'
        | 'batch-ended'
        | 'batch-deleted'
        | 'archive-accepted'
        | 'attempt-lost'
        | 'attempt-returned';
    }
  >;
}

/** Whether a record changes the archive. */
export function concernsArchive(record: LogRecord): record is ArchiveRecord {
  switch (record.event.kind) {
    case 'batch-submitted':
    case 'batch-extended':
    case 'batch-ended':
    case 'batch-deleted':
    case 'archive-accepted':
    case 'attempt-lost':
    case 'attempt-returned':
      return true;
    default:
      return false;
  }
}

/** The batch that a record is about. */
export function batchOf({ event }: ArchiveRecord): BatchId {
  return 'attempt' in event ? event.attempt.batchId : event.batchId;
}
