import type * as disk from '../../proto/gen/labrun/store/v1/log.ts';
import type { Event } from '../scheduler/event.ts';
import { nodeId, ref } from './value-codec.ts';

type ShellEvent = Extract<Event, { kind: `shell-${string}` }>;
type StoredShell = Extract<NonNullable<disk.Event['event']>, { $case: `shell${string}` }>;

/** Who has a terminal where, as the disk has it. */
export function encodeShell(event: ShellEvent): disk.Event {
  const { kind, ...value } = event;
  return kind === 'shell-closed'
    ? { event: { $case: 'shellClosed', value: { ...value, message: event.message } } }
    : { event: { $case: 'shellOpened', value } };
}

/** The same, from the disk. */
export function decodeShell({ $case, value }: StoredShell): ShellEvent {
  const facts = {
    shellId: value.shellId,
    nodeId: nodeId(value.nodeId),
    inPlaceOf: value.inPlaceOf && ref(value.inPlaceOf),
  };
  return $case === 'shellOpened'
    ? { kind: 'shell-opened', ...facts }
    : { kind: 'shell-closed', ...facts, message: value.message };
}
