/** States what must hold. A failure is a bug in labrun; nobody catches it. */
export function assert(condition: unknown, whatShouldHold: string): asserts condition {
  if (!condition) throw new AssertionError(whatShouldHold);
}

/** Ends a `switch` over a union: the compiler objects when a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`no case for ${JSON.stringify(value)}`);
}

/** A bug in labrun itself. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}
