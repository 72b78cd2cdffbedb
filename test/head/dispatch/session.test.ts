import { expect, it } from 'vitest';
import { openLog } from '../../../base/log.ts';
import type { Report } from '../../../head/agent-wire.ts';
import { Session } from '../../../head/dispatch/session.ts';
import type { Command, Verdict } from '../../../head/scheduler/command.ts';
import { batchNumber, nodeNumber, theCluster } from '../../kit/state.ts';

it('has few commands in the engine at a time, in the order in which they came, however much its agent tells', async () => {
  const told: number[] = [];
  const answers: (() => void)[] = [];
  let most = 0;
  const session = new Session(
    {
      engine: {
        submit(_actor, command: Command): Promise<Verdict> {
          if (command.kind === 'progress-attempt') told.push(command.attempt.index);
          return new Promise((answer) => {
            answers.push(() => answer({ kind: 'accepted', events: [] }));
            most = Math.max(most, answers.length);
          });
        },
        query: () => Promise.reject(new Error('nothing is compared while news is being taken')),
        subscribe: () => () => undefined,
      },
      intake: { seal: () => Promise.resolve({ kind: 'sealed' }), room: () => Promise.resolve() },
      clusterId: theCluster,
      nodeId: nodeNumber(1),
      cancelGraceMs: 0,
      log: openLog('head', 'silent'),
      send: () => Promise.resolve(),
    },
    'ws1',
    [],
  );
  const reports = Array.from({ length: 2_000 }, (_, index) => running(index));
  const taken = session.take({ reports });
  session.close();
  while (told.length < reports.length || answers.length > 0) {
    answers.shift()?.();
    await Promise.resolve();
  }
  await taken;
  expect(told).toEqual(reports.map(({ attempt }) => attempt.index));
  expect(most).toBeLessThanOrEqual(256);
});

function running(index: number): Report {
  const attempt = { batchId: batchNumber(1), index, attempt: 1 };
  return {
    attempt,
    phase: 'running',
    startedMsAgo: 0,
    endedMsAgo: 0,
    pausedMs: 0,
    end: undefined,
    returnedReason: '',
    message: '',
  };
}
