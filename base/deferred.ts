/** A promise and what settles it. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value | PromiseLike<Value>): void;
  reject(error: unknown): void;
}

/** A promise that is settled from elsewhere (`Promise.withResolvers`, which Node 20 lacks). Only the first time counts. */
export function deferred<Value>(): Deferred<Value> {
  const parts: Partial<Deferred<Value>> = {};
  const promise = new Promise<Value>((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return { promise, resolve: () => {}, reject: () => {}, ...parts };
}
