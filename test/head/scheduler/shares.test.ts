import { describe, expect, it } from 'vitest';
import type { Command } from '../../../head/scheduler/command.ts';
import {
  jobsMax,
  namespacesPerUserMax,
  openBatchesPerUserMax,
  openJobsMax,
  openJobsPerUserMax,
} from '../../../head/scheduler/limits.ts';
import { aSubmit, batchNumber, PureHead, someGroup, someSubmission } from '../../kit/state.ts';

/** The command by which somebody submits batch number `at`. */
function submitBy(by: string, at: number, over: { jobs?: number; namespace?: string } = {}): Command {
  const submit = aSubmit(at, { groups: [someGroup({ count: over.jobs ?? 1 })] });
  if (submit.kind !== 'submit') throw new Error('a submission is a submission');
  return { ...submit, by, namespace: over.namespace ?? by };
}

const actor = (name: string) => ({ kind: 'user', name }) as const;

describe('what one person may have', () => {
  it('ends at so many jobs that have not ended, and says how many there are; others may have theirs', () => {
    const head = new PureHead();
    for (let at = 1; at <= openJobsPerUserMax / jobsMax; at++)
      head.take(submitBy('ada', at, { jobs: jobsMax }), actor('ada'));
    expect(head.take(submitBy('Ada', 8), actor('ada')).verdict).toMatchObject({
      code: 'limit',
      message: expect.stringContaining('3000000 jobs of Ada have not ended'),
    });
    const submission = someSubmission(1, { groups: [someGroup({ count: 2 })] });
    const extend = { kind: 'extend', extensionId: batchNumber(70), submission, changed: [], partsSeen: 1 } as const;
    // The batch is full by itself; the share of its owner is asked for what runs again, too.
    expect(head.take({ ...extend, added: [], changed: [[0, 0]] }, actor('ada')).verdict).toMatchObject({
      code: 'limit',
      message: expect.stringContaining('with 1 more there would be over'),
    });
    expect(head.take(submitBy('bob', 9), actor('bob')).verdict).toMatchObject({ kind: 'accepted' });
    head.take({ kind: 'cancel', batchId: batchNumber(1), jobs: [0, jobsMax] }, actor('ada'));
    expect(head.take(submitBy('ada', 8), actor('ada')).verdict).toMatchObject({ kind: 'accepted' });
  });

  it('ends at so many namespaces, and those there are may be used on', () => {
    const head = new PureHead();
    for (let at = 1; at <= namespacesPerUserMax; at++)
      head.take(submitBy('ada', at, { namespace: `n${at}` }), actor('ada'));
    expect(head.take(submitBy('ada', 500, { namespace: 'one-more' }), actor('ada')).verdict).toMatchObject({
      code: 'limit',
      message: expect.stringContaining('ada has 100 namespaces already'),
    });
    expect(head.take(submitBy('ada', 501, { namespace: 'N7' }), actor('ada')).verdict).toMatchObject({
      kind: 'accepted',
    });
  });

  it('ends at so many batches that have not ended', () => {
    const head = new PureHead();
    for (let at = 1; at <= openBatchesPerUserMax; at++) head.take(submitBy('ada', at), actor('ada'));
    expect(head.take(submitBy('ada', 20_000), actor('ada')).verdict).toMatchObject({
      code: 'limit',
      message: expect.stringContaining('2000 batches of ada have not ended'),
    });
  });
});

it('has an end for the jobs of all together', () => {
  const head = new PureHead();
  for (let at = 1; at <= openJobsMax / jobsMax; at++)
    head.take(submitBy(`user${at}`, at, { jobs: jobsMax }), actor(`user${at}`));
  expect(head.take(submitBy('late', 99), actor('late')).verdict).toMatchObject({
    code: 'limit',
    message: expect.stringContaining('10000000 jobs in the cluster have not ended'),
  });
});
