import { expect, it } from 'vitest';
import { asBatchId, asNodeId } from '../../../base/ids.ts';
import type { Event } from '../../../head/scheduler/event.ts';
import { decodeShell, encodeShell } from '../../../head/store/shell-codec.ts';
import { Event as Stored } from '../../../proto/gen/labrun/store/v1/log.ts';

const ulid = '01J00000000000000000000000';

it('who had a terminal where comes back from the disk as it was', () => {
  const [nodeId, batchId] = [asNodeId(ulid), asBatchId(ulid)];
  if (!nodeId || !batchId) throw new Error('a ULID is an id');
  const inPlaceOf = { batchId, index: 3, attempt: 2 };
  const events: Extract<Event, { kind: `shell-${string}` }>[] = [
    { kind: 'shell-opened', shellId: 's1', nodeId, inPlaceOf },
    { kind: 'shell-opened', shellId: 's2', nodeId, inPlaceOf: undefined },
    { kind: 'shell-closed', shellId: 's1', nodeId, inPlaceOf, message: 'it ended with 7' },
  ];
  for (const event of events) {
    const stored = Stored.decode(Stored.encode(encodeShell(event)).finish()).event;
    if (stored?.$case !== 'shellOpened' && stored?.$case !== 'shellClosed')
      throw new Error('it is told of no terminal');
    expect(decodeShell(stored)).toEqual(event);
  }
});
