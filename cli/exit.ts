import { strangerCode } from '../base/channel/tls-trouble.ts';
import { Fault, isSystemError, type RefusalCode, RefusedError, refused } from '../base/errors.ts';

/** What the program's exit status means; stable, for scripts. */
export const exitCodes = {
  done: 0,
  /** The work itself failed: a job, a transfer. */
  failed: 1,
  /** Wrong options, a bad file, or a request that clashes with what is there. */
  usage: 2,
  notFound: 3,
  /** No connection, or not allowed. */
  unreachable: 4,
  /** Ended by Ctrl-C, as shells say it. */
  interrupted: 130,
} as const;

/** An expected no of the CLI itself, such as options that exclude each other. */
export function usageError(message: string): RefusedError {
  return new RefusedError(refused('invalid', message));
}

/** Throws where words follow a command that has only commands below it: `known` are those. */
export function noMoreWords(command: string, words: readonly string[], known: readonly string[]): void {
  const [word] = words;
  if (word !== undefined)
    throw usageError(`Unknown command "${command} ${word}": there is ${known.map((name) => `"${name}"`).join(', ')}`);
}

/** The exit status for anything a command threw. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof RefusedError) return refusalExits[error.refusal.code];
  if (error instanceof Fault && noConnection.has(error.code)) return exitCodes.unreachable;
  if (error instanceof Error && error.name === 'ConfigError') return exitCodes.usage;
  if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return exitCodes.usage;
  return exitCodes.failed;
}

/** gRPC's names of what happens when nobody answers; `no-head` and `no-agent` are our own. Who stops cancels what it has begun. */
const noConnection: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'no-head',
  'no-agent',
  strangerCode,
]);

const refusalExits: Readonly<Record<RefusalCode, number>> = {
  invalid: exitCodes.usage,
  'not-found': exitCodes.notFound,
  conflict: exitCodes.usage,
  denied: exitCodes.unreachable,
  busy: exitCodes.unreachable,
  'disk-full': exitCodes.failed,
  unsupported: exitCodes.usage,
  stale: exitCodes.failed,
  'not-yet': exitCodes.usage,
  limit: exitCodes.usage,
};
