import { unreachable } from '../../base/assert.ts';
import type { Ending, FailureReason, LimitName, Outcome } from './attempt.ts';

/** The limits of a job that are named in sentences. */
export interface Allowed {
  readonly memoryBytes: number;
  readonly processes: number;
  readonly diskBytes: number;
}

/** What is known besides how the processes ended. */
export interface Remains {
  /** Expected files that are missing or empty. */
  readonly missing: readonly string[];
  /** Of the log; empty when there is none. */
  readonly lastLine: string;
  readonly timeLimitMs: number;
  /** What it was allowed; 0 for no limit of its own. */
  readonly limits: Allowed;
  /** Why what it left cannot be kept; empty when it can. */
  readonly archiveProblem: string;
  /** The disk of its working folder had no room left at its end; then its log may say less than it should. */
  readonly diskIsFull: boolean;
}

/** Names shown in a sentence, at most. */
const namesMax = 3;

/** The outcome in the head's words, with a sentence that says what to look at. */
export function outcomeOf(ending: Ending, remains: Remains): Outcome {
  switch (ending.kind) {
    case 'cancelled':
      return { ...blank, state: 'cancelled', message: remains.archiveProblem, ranMs: ending.ranMs };
    case 'staging-failed':
      return failed('staging-failed', ending.message, 0);
    case 'timeout':
      return failed(
        'timeout',
        withLine(`ran into its time limit of ${seconds(remains.timeLimitMs)}`, remains),
        ending.ranMs,
      );
    case 'limited':
      return failed(
        limitReasons[ending.limit],
        withLine(limitText(ending.limit, remains.limits), { ...remains, diskIsFull: false }),
        ending.ranMs,
      );
    case 'signalled': {
      const message = withLine(`was ended by signal ${ending.signal}`, remains);
      return { ...failed('signal', message, ending.ranMs), signal: ending.signal };
    }
    case 'exited':
      return { ...exited(ending.exitCode, ending.ranMs, remains), exitCode: ending.exitCode };
    default:
      return unreachable(ending);
  }
}

/**
 * How an attempt ended that was told already and whose remains were looked at once more (`seen`: as of one that did well). It did not
 * do well if something of it cannot be kept any more.
 */
export function lookedAtAgain(told: Outcome, seen: Outcome): Outcome {
  if (told.state !== 'succeeded' || seen.reason !== 'archive-failed') return told;
  const { state, reason, message } = seen;
  return { ...told, state, reason, message };
}

const limitReasons = { memory: 'oom', processes: 'processes', disk: 'disk-full' } as const;

/** What a tree that came to a limit did, as it follows its name. */
export function limitText(limit: LimitName, { memoryBytes, processes, diskBytes }: Allowed): string {
  switch (limit) {
    case 'memory':
      if (memoryBytes === 0) return 'the machine ran out of memory while it ran';
      return `wanted more than its ${amount(memoryBytes)} of memory`;
    case 'processes':
      return `wanted more than ${processes} processes at a time`;
    case 'disk':
      if (diskBytes === 0) return 'the disk of the node was full';
      return `wrote more than its ${amount(diskBytes)} of disk`;
    default:
      return unreachable(limit);
  }
}

/** As people write it: 1.5G, 64M. */
function amount(bytes: number): string {
  const [size, letter] = bytes >= 2 ** 30 ? [2 ** 30, 'G'] : [2 ** 20, 'M'];
  return `${Math.round((bytes / size) * 100) / 100}${letter}`;
}

const blank: Outcome = {
  state: 'succeeded',
  reason: '',
  message: '',
  exitCode: undefined,
  signal: undefined,
  ranMs: 0,
};

function exited(exitCode: number, ranMs: number, remains: Remains): Outcome {
  if (exitCode !== 0) return failed('exit', withLine(`exit code ${exitCode}`, remains), ranMs);
  if (remains.archiveProblem !== '') return failed('archive-failed', remains.archiveProblem, ranMs);
  if (remains.missing.length > 0) {
    const named = remains.missing.slice(0, namesMax).map((name) => `"${name}"`);
    const more = remains.missing.length - named.length;
    const list = more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
    return failed('missing-output', `${list} missing or empty at the end`, ranMs);
  }
  return { ...blank, ranMs };
}

function failed(reason: FailureReason, message: string, ranMs: number): Outcome {
  return { ...blank, state: 'failed', reason, message, ranMs };
}

function withLine(what: string, { lastLine, archiveProblem, diskIsFull }: Remains): string {
  const said = lastLine === '' ? what : `${what}: ${lastLine}`;
  const causes = [archiveProblem, diskIsFull ? 'the disk of the node was full' : ''].filter((cause) => cause !== '');
  return causes.length === 0 ? said : `${said} (${causes.join('; ')})`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
