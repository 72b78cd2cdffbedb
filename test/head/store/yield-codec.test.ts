import { expect, it } from 'vitest';
import { apply } from '../../../head/scheduler/apply.ts';
import { emptyCluster } from '../../../head/scheduler/draft.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { decodeEvent } from '../../../head/store/event-decode.ts';
import { encodeEvent } from '../../../head/store/event-encode.ts';
import { decodeState, encodeState } from '../../../head/store/state-codec.ts';
import * as log from '../../../proto/gen/labrun/store/v1/log.ts';
import * as snapshot from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { releaseStory } from '../../kit/release-story.ts';

it('reads every event as it was written', () => {
  for (const { event } of releaseStory()) {
    const stored = log.Event.decode(log.Event.encode(encodeEvent(event)).finish());
    expect(decodeEvent(stored)).toEqual(event);
  }
});

it('keeps through a snapshot what nodes yield, and who drains them', () => {
  const state = emptyCluster();
  for (const record of releaseStory()) apply(state, record);
  expect(violations(state)).toEqual([]);
  const stored = snapshot.Snapshot.encode(encodeState(state, Buffer.alloc(16))).finish();
  const told = (nodes: typeof state.nodes) =>
    [...nodes.values()].map(({ yielding, drained }) => ({ yielding, drained }));
  expect(told(state.nodes)).toMatchObject([{ yielding: { step: 'pause' }, drained: { reason: 'a new disk' } }, {}]);
  expect(told(decodeState(snapshot.Snapshot.decode(stored)).nodes)).toEqual(told(state.nodes));
});
