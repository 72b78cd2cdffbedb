/**
 * Resolves with the first answer of `check` that is neither `undefined` nor `false`, asked every 30 ms; for conditions
 * of the outside world that nobody announces. Rejects after `timeoutMs` with `what` and the last error, if any.
 */
export async function until<T>(
  what: string | (() => string),
  check: () => T | Promise<T>,
  timeoutMs = 30_000,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await check();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>; // just checked
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const text = typeof what === 'string' ? what : what();
      throw new Error(`Waited ${timeoutMs} ms in vain: ${text}`, last === undefined ? {} : { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
