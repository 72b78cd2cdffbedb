/**
 * Why something expected was refused. Codes are stable: they cross the wire and become exit codes of the CLI.
 * `invalid` the request makes no sense; `not-found`; `conflict` it clashes with what is there; `denied`; `busy` try again
 * later; `disk-full`; `unsupported` a version or feature; `stale` news of an attempt that is no longer the current one;
 * `not-yet` a later release; `limit` a stated limit is passed.
 */
export type RefusalCode =
  | 'invalid'
  | 'not-found'
  | 'conflict'
  | 'denied'
  | 'busy'
  | 'disk-full'
  | 'unsupported'
  | 'stale'
  | 'not-yet'
  | 'limit';

/** An expected no, as a value. The message says the action, the state, and what to do next. */
export interface Refusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  readonly message: string;
}

/** Makes a refusal. */
export function refused(code: RefusalCode, message: string): Refusal {
  return { kind: 'refused', code, message };
}

/** Whether this is a no rather than the value that was asked for. */
export function isRefusal<Value>(value: Value | Refusal): value is Refusal {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'refused';
}

/** Carries a refusal through code that can only throw (streams, callbacks, the client side of a call). */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/** The world failed: disk, network, a child process. Caught only at the edge that can retry, report or stop. */
export class Fault extends Error {
  override readonly name: string = 'Fault';
  readonly code: string;
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether `error` is the operating system's error `code` (`ENOENT`, `EEXIST`, …). */
export function isSystemError(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** Most bytes of a sentence that crosses the wire as a status: trailers that are too large never arrive. */
const sentenceMaxBytes = 2_000;

/** A sentence as a status or a line of a log can carry it: it may repeat what a stranger has sent. */
export function cutOff(sentence: string): string {
  if (Buffer.byteLength(sentence) <= sentenceMaxBytes) return sentence;
  const beginning = Buffer.from(sentence).subarray(0, sentenceMaxBytes).toString('utf8');
  return `${beginning.replace(/\ufffd$/, '')}… (cut off)`;
}
