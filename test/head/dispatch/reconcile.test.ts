import { describe, expect, it } from 'vitest';
import { type AttemptId, attemptId } from '../../../base/ids.ts';
import { type Change, forgottenBuilds, type HeldPhase, reconcile } from '../../../head/dispatch/reconcile.ts';
import { explain } from '../../../head/scheduler/explain.ts';
import { someNeeds } from '../../kit/spec.ts';
import { aConnect, aSubmit, batchNumber, nodeNumber, PureHead, someGroup } from '../../kit/state.ts';

/** A head with one node and one placed job. */
function placed() {
  const head = new PureHead();
  head.take(aConnect(1));
  head.take(aSubmit(1));
  const ref = { batchId: batchNumber(1), index: 0, attempt: 1 };
  return { head, ref, id: attemptId(ref, 1) };
}

function compare(head: PureHead, held: [AttemptId, HeldPhase][] = [], told: [AttemptId, Change['kind'][]][] = []) {
  const difference = reconcile(head.state, nodeNumber(1), {
    held: new Map(held),
    told: new Map(told.map(([id, kinds]) => [id, new Set(kinds)])),
  });
  const { changes, missing, untold } = difference;
  return { kinds: changes.map((change) => change.kind), missing, untold };
}

describe('reconcile', () => {
  it('assigns what the node does not know yet, once', () => {
    const { head, id } = placed();
    expect(compare(head).kinds).toEqual(['assign']);
    expect(compare(head, [], [[id, ['assign']]]).kinds).toEqual([]);
    expect(compare(head, [[id, 'running']]).kinds).toEqual([]);
  });

  it('notes as missing what ran on a node that no longer knows it', () => {
    const { head, ref } = placed();
    head.take({ kind: 'progress-attempt', nodeId: nodeNumber(1), attempt: ref, phase: 'running', startedMsAgo: 0 });
    expect(compare(head)).toEqual({ kinds: [], missing: [ref], untold: [] });
  });

  it('gives a node nothing that was asked back before it heard of it', () => {
    const { head, ref, id } = placed();
    head.take({ kind: 'disconnect-node', nodeId: nodeNumber(1) });
    head.take({ kind: 'drain-node', nodeId: nodeNumber(1), reason: 'new disk' });
    head.take(aConnect(1));
    expect(compare(head)).toEqual({ kinds: [], missing: [], untold: [ref] });
    // What it holds it is asked for, as ever.
    expect(compare(head, [[id, 'assigned']])).toEqual({ kinds: ['recall'], missing: [], untold: [] });
  });

  it('cancels what is to be cancelled, and settles, discards and forgets what is over', () => {
    const { head, ref, id } = placed();
    head.take({ kind: 'cancel', batchId: ref.batchId, jobs: [0, 1] });
    expect(compare(head, [[id, 'running']]).kinds).toEqual(['cancel']);
    head.take({ kind: 'lose-attempt', nodeId: nodeNumber(1), attempt: ref, message: 'gone' });
    expect(compare(head, [[id, 'running']]).kinds).toEqual(['discard']);
    expect(compare(head, [[id, 'ended']]).kinds).toEqual(['settle']);
    expect(compare(head, [[id, 'wiped']]).kinds).toEqual(['forget']);
  });

  it('leaves alone what this head has never heard of', () => {
    const { head } = placed();
    const foreign = attemptId({ batchId: batchNumber(99), index: 0 }, 1);
    expect(compare(head, [[foreign, 'ended']], []).kinds).toEqual(['assign']);
  });
});

describe('explain', () => {
  it('gives every node its verdict and the job one sentence', () => {
    const head = new PureHead();
    head.take(aConnect(1));
    head.take(
      aSubmit(1, {
        groups: [
          someGroup({ needs: someNeeds({ capabilities: [{ name: 'openfoam', comparison: '>=', version: '1912' }] }) }),
        ],
      }),
    );
    const batch = head.state.batches.get(batchNumber(1));
    if (!batch) throw new Error('the batch was submitted');
    expect(explain(head.state, batch, 0, head.nowMs)).toEqual({
      summary: 'Waits: no node can run them: ws1 lacks openfoam>=1912',
      nodes: [{ node: 'ws1', fits: false, reason: 'lacks openfoam>=1912' }],
    });
    head.take(aConnect(2, { capabilities: { openfoam: '1906' } }));
    head.take(aConnect(3, { capabilities: { openfoam: '2212' } }));
    expect(explain(head.state, batch, 0, head.nowMs).summary).toMatch(/Assigned to ws3/);
  });
});

it('has a build that failed tried again where the head has forgotten that it did', () => {
  const head = new PureHead();
  head.take(aConnect(1));
  head.take(aConnect(2));
  head.take(aSubmit(1, { buildDigest: 'blake3:build' }));
  const failed = new Set(['blake3:build']);
  head.take({ kind: 'report-build', nodeId: nodeNumber(1), digest: 'blake3:build', state: 'failed', message: 'no' });
  expect(forgottenBuilds(head.state, nodeNumber(1), failed)).toEqual([]);
  head.take(aSubmit(2, { buildDigest: 'blake3:build' }));
  expect(forgottenBuilds(head.state, nodeNumber(1), failed)).toEqual(['blake3:build']);
  expect(forgottenBuilds(head.state, nodeNumber(1), new Set())).toEqual([]);
});
