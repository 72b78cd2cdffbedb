import { describe, expect, it } from 'vitest';
import { explain } from '../../../head/scheduler/explain.ts';
import { someNeeds } from '../../kit/spec.ts';
import { aConnect, aSubmit, batchNumber, liveOn, nodeNumber, PureHead, returned, someGroup } from '../../kit/state.ts';

const full = 'its disk (/data) is nearly full, 3.0 MiB left of the 512 MiB that are kept free';

/** One node of two cores, given four jobs of one core. */
function aHead(): PureHead {
  const head = new PureHead();
  head.take(aConnect(1, { cpus: 2 }));
  head.take(aSubmit(1, { groups: [someGroup({ count: 4, needs: someNeeds({ cpus: 1 }) })] }));
  return head;
}

describe('a node that says that its disk is full', () => {
  it('gets no jobs, gives back what it has not begun, and gets jobs again when it says so', () => {
    const head = aHead();
    const [first] = liveOn(head);
    if (!first) throw new Error('nothing was placed');
    const progress = { phase: 'running', startedMsAgo: 0 } as const;
    head.take({ kind: 'progress-attempt', nodeId: nodeNumber(1), attempt: first.ref, ...progress });
    head.take({ kind: 'trouble-node', nodeId: nodeNumber(1), trouble: full });
    const unbegun = liveOn(head).filter(({ phase }) => phase.kind === 'assigned');
    expect(unbegun.length).toBeGreaterThan(0);
    expect(unbegun.every(({ recalled }) => recalled)).toBe(true);
    for (const attempt of unbegun) head.take(returned(attempt, 'recalled'));
    expect(liveOn(head).map(({ phase }) => phase.kind)).toEqual(['running']);
    const batch = head.state.batches.get(batchNumber(1));
    if (!batch) throw new Error('the batch is there');
    expect(explain(head.state, batch, 3, head.nowMs).summary).toContain(full);
    head.take({ kind: 'trouble-node', nodeId: nodeNumber(1), trouble: '' });
    expect(liveOn(head).length).toBeGreaterThan(1);
  });

  it('is believed to be in trouble over a new connection, until it says otherwise', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take({ kind: 'trouble-node', nodeId: nodeNumber(1), trouble: full });
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.take(aConnect(1));
    head.take(aSubmit(1));
    expect(liveOn(head)).toEqual([]);
  });

  it('makes one event of it, however often it is said', () => {
    const head = aHead();
    head.take({ kind: 'trouble-node', nodeId: nodeNumber(1), trouble: full });
    const { seq } = head.state;
    head.take({ kind: 'trouble-node', nodeId: nodeNumber(1), trouble: full });
    expect(head.state.seq).toBe(seq);
  });
});
