import { describe, expect, it } from 'vitest';
import type { LimitName } from '../../../node-agent/attempts/attempt.ts';
import { outcomeOf } from '../../../node-agent/attempts/outcome.ts';

const clean = {
  missing: [],
  lastLine: '',
  timeLimitMs: 1_500,
  limits: { memoryBytes: 2 ** 28, processes: 64, diskBytes: 1.5 * 2 ** 30 },
  archiveProblem: '',
  diskIsFull: false,
};

describe('outcomes', () => {
  it('tells a failed exit with the last line of the log', () => {
    const outcome = outcomeOf({ kind: 'exited', exitCode: 3, ranMs: 5 }, { ...clean, lastLine: 'diverged' });
    expect(outcome).toMatchObject({
      state: 'failed',
      reason: 'exit',
      message: 'exit code 3: diverged',
      exitCode: 3,
      ranMs: 5,
    });
  });

  it('fails a job that exits well without what it promised', () => {
    const missing = ['a', 'b', 'c', 'd', 'e'];
    const outcome = outcomeOf({ kind: 'exited', exitCode: 0, ranMs: 5 }, { ...clean, missing });
    expect(outcome).toMatchObject({
      reason: 'missing-output',
      message: '"a", "b", "c" and 2 more missing or empty at the end',
    });
  });

  it('names the limit that a job came to', () => {
    const said = (limit: LimitName, limits = clean.limits) => {
      const { reason, message } = outcomeOf({ kind: 'limited', limit, ranMs: 1 }, { ...clean, limits });
      return `${reason}: ${message}`;
    };
    expect(said('memory')).toBe('oom: wanted more than its 256M of memory');
    expect(said('processes')).toBe('processes: wanted more than 64 processes at a time');
    expect(said('disk')).toBe('disk-full: wrote more than its 1.5G of disk');
    const none = { memoryBytes: 0, processes: 64, diskBytes: 0 };
    expect(said('memory', none)).toBe('oom: the machine ran out of memory while it ran');
    expect(said('disk', none)).toBe('disk-full: the disk of the node was full');
  });

  it('names the time limit, the signal, and what could not be archived', () => {
    expect(outcomeOf({ kind: 'timeout', ranMs: 1 }, clean).message).toBe('ran into its time limit of 1.5 s');
    expect(outcomeOf({ kind: 'signalled', signal: 11, ranMs: 1 }, clean)).toMatchObject({
      reason: 'signal',
      signal: 11,
    });
    const outcome = outcomeOf({ kind: 'exited', exitCode: 0, ranMs: 1 }, { ...clean, archiveProblem: 'unreadable' });
    expect(outcome).toMatchObject({ state: 'failed', reason: 'archive-failed', message: 'unreadable' });
  });

  it('says that the disk was full, which may be why it failed and why its log says less than it should', () => {
    const full = { ...clean, diskIsFull: true };
    expect(outcomeOf({ kind: 'exited', exitCode: 7, ranMs: 1 }, full).message).toBe(
      'exit code 7 (the disk of the node was full)',
    );
    expect(outcomeOf({ kind: 'exited', exitCode: 0, ranMs: 1 }, full)).toMatchObject({
      state: 'succeeded',
      message: '',
    });
  });

  it('does not call a cancelled job failed', () => {
    expect(outcomeOf({ kind: 'cancelled', ranMs: 9 }, clean)).toMatchObject({
      state: 'cancelled',
      reason: '',
      ranMs: 9,
    });
  });
});
