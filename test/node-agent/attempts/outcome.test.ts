import { describe, expect, it } from 'vitest';
import { outcomeOf } from '../../../node-agent/attempts/outcome.ts';

const clean = { missing: [], lastLine: '', timeLimitMs: 1_500, archiveProblem: '', diskIsFull: false };

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
