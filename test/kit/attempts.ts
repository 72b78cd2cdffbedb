import { type AttemptId, asBatchId, asClusterId, attemptId, type Fence, ulid } from '../../base/ids.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import { type Assignment, type Attempt, assigned, type Phase } from '../../node-agent/attempts/attempt.ts';

/** A fence in one and the same cluster; every call without a batch makes the same batch. */
export function aFence(overrides: Partial<Fence> = {}): Fence {
  const clusterId = asClusterId(ulid(1, Buffer.alloc(10, 1)));
  const batchId = asBatchId(ulid(2, Buffer.alloc(10, 2)));
  if (!clusterId || !batchId) throw new Error('the kit makes proper ids');
  return { clusterId, batchId, index: 0, attempt: 1, ...overrides };
}

/** What the head sends along. */
export function anAssignment(overrides: Partial<Assignment> = {}): Assignment {
  const parts = { namespace: 'lab', batch: 'b', specHash: hashBytes('spec'), specIndex: 0 };
  return { fence: aFence(), ...parts, cpus: 1, memoryBytes: 0, user: 'ada', ...overrides };
}

/** An attempt where the test needs it. */
export function anAttempt(
  index: number,
  phase: Phase = { kind: 'assigned' },
  overrides: Partial<Assignment> = {},
): Attempt {
  const assignment = anAssignment({ fence: aFence({ index }), ...overrides });
  return { ...assigned(idOf(assignment.fence), assignment), phase };
}

/** The attempt's id within its cluster. */
export function idOf(fence: Fence): AttemptId {
  return attemptId(fence, fence.attempt);
}
