import { type Refusal, refused } from '../base/errors.ts';
import { asBatchId, asClusterId, type ClusterId } from '../base/ids.ts';
import type { Fence } from '../proto/gen/labrun/v1/common.ts';
import type { AttemptRef } from './scheduler/attempt.ts';
import { countMax } from './wire.ts';

/** Reads which attempt news is of; nothing when that cannot be read. */
export function readFence(fence: Fence | undefined, clusterId: ClusterId): AttemptRef | Refusal | undefined {
  const batchId = asBatchId(fence?.batchId ?? '');
  const isCounted = fence !== undefined && fence.attempt >= 1 && fence.attempt <= countMax && fence.index <= countMax;
  if (!batchId || !isCounted) return undefined;
  if (asClusterId(fence.clusterId) !== clusterId)
    return refused('stale', `Cannot take news of cluster "${fence.clusterId}"`);
  return { batchId, index: fence.index, attempt: fence.attempt };
}
