import { Metadata, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { Crowd } from '../../../base/channel/crowd.ts';
import { deferred } from '../../../base/deferred.ts';
import { openLog } from '../../../base/log.ts';
import { type DeskDoor, deskLimits, deskUnary, proofKey } from '../../../node-agent/desk/calls.ts';
import { until } from '../../kit/until.ts';

/** A door where everybody is who they say. */
function aDoor(): DeskDoor {
  const identify = async (proof: string) => ({ uid: Number(proof), name: proof });
  return { log: openLog('test', 'silent'), callers: { identify }, crowd: new Crowd(deskLimits, 'this agent') };
}

it('takes so many calls of one person at a time, and those of others beside them', async () => {
  const end = deferred<{ done: boolean }>();
  let under = 0;
  const method = deskUnary<object, { done: boolean }>(aDoor(), () => {
    under += 1;
    return end.promise;
  });
  const answers: (number | 'done')[] = [];
  const call = (uid: number) => {
    const metadata = new Metadata();
    metadata.set(proofKey, String(uid));
    const asked = { metadata, request: {}, cancelled: false, getPath: () => '/desk' };
    method(asked as unknown as ServerUnaryCall<object, { done: boolean }>, (error) => {
      answers.push(error ? (error.code ?? status.UNKNOWN) : 'done');
    });
  };
  for (let n = 0; n < deskLimits.unary.perCaller; n++) call(1000);
  await until('all are under way', () => under === deskLimits.unary.perCaller);
  call(1000);
  await until('one more is refused', () => answers.length === 1);
  expect(answers).toEqual([status.UNAVAILABLE]);
  call(1001);
  await until('another person is let in', () => under === deskLimits.unary.perCaller + 1);
  end.resolve({ done: true });
  await until('all are answered', () => answers.length === under + 1);
  call(1000);
  await until('there is room again', () => answers.length === under + 1 && under === deskLimits.unary.perCaller + 2);
  expect(answers.slice(1)).toEqual(Array.from({ length: under }, () => 'done'));
});
