import { RefusedError } from '../base/errors.ts';
import type { BatchId } from '../base/ids.ts';
import type { Notices } from './notices.ts';
import type { HeadEngine } from './ports.ts';
import { knownBatch } from './scheduler/retired.ts';

/** Tells people of a batch whose results cannot be put into the archive, and why; nothing: they can again. */
export function noticeUnpublished(
  engine: Pick<HeadEngine, 'query'>,
  notices: Notices,
): (batchId: BatchId, why: string | undefined) => Promise<void> {
  return async (batchId, why) => {
    const key = `publish ${batchId}`;
    if (why === undefined) return notices.unsay(key);
    try {
      const batch = await engine.query((state) => {
        const known = knownBatch(state, batchId);
        return known && { namespace: known.namespace, name: known.name };
      });
      const name = batch ? `"${batch.namespace}/${batch.name}"` : `the batch ${batchId}`;
      const text = `results of ${name} cannot be put into its folder of the archive, where they wait in .staging: ${why}; put right what is in the way, and they follow by themselves`;
      notices.say(key, text, batch?.namespace);
    } catch (error) {
      // The engine has too much to do just now: the next try says it.
      if (!(error instanceof RefusedError)) throw error;
    }
  };
}
