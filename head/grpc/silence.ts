import type { Clock } from '../../base/clock.ts';
import { deferred } from '../../base/deferred.ts';
import { RefusedError, refused } from '../../base/errors.ts';

/** How long an upload may say nothing, in milliseconds. What has arrived stays, and the next try goes on from there. */
export const silenceMaxMs = 10 * 60_000;

/** The messages of a stream; throws `RefusedError` "limit" when none has come for `silenceMaxMs`. */
export async function* untilSilent<Message>(messages: AsyncIterable<Message>, clock: Clock): AsyncGenerator<Message> {
  const iterator = messages[Symbol.asyncIterator]();
  let isSilent = false;
  try {
    for (;;) {
      const silent = deferred<'silent'>();
      const timer = clock.setTimer(silenceMaxMs, () => silent.resolve('silent'));
      const coming = iterator.next();
      const next = await Promise.race([coming, silent.promise]).finally(() => timer.cancel());
      if (next === 'silent') {
        isSilent = true;
        coming.catch(() => undefined); // the stream ends with the refusal, and nobody waits for it any more
        throw new RefusedError(
          refused(
            'limit',
            `Cannot wait any longer: nothing has come for ${silenceMaxMs / 60_000} minutes; send the rest again`,
          ),
        );
      }
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // A generator that still waits for a message would answer only after it.
    if (!isSilent) await iterator.return?.();
  }
}
