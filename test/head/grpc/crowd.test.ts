import { expect, it } from 'vitest';
import { Crowd, callsMax, callsPerCallerMax } from '../../../head/grpc/crowd.ts';

function fill(crowd: Crowd, caller: string, count: number): (() => void)[] {
  return Array.from({ length: count }, () => {
    const leave = crowd.enter(caller);
    if (typeof leave !== 'function') throw new Error(leave.message);
    return leave;
  });
}

it('lets one caller have so many calls under way and no more, and others theirs', () => {
  const crowd = new Crowd();
  const [first] = fill(crowd, 'user ada', callsPerCallerMax);
  expect(crowd.enter('user ada')).toMatchObject({
    code: 'busy',
    message: expect.stringContaining('of yours are under way'),
  });
  fill(crowd, 'user bob', 1);
  first?.();
  first?.(); // an end that is told twice is one
  fill(crowd, 'user ada', 1);
  expect(crowd.enter('user ada')).toMatchObject({ code: 'busy' });
});

it('has an end for all together', () => {
  const crowd = new Crowd();
  for (let caller = 0; caller < callsMax / callsPerCallerMax; caller++)
    fill(crowd, `user ${caller}`, callsPerCallerMax);
  expect(crowd.enter('user one-more')).toMatchObject({
    code: 'busy',
    message: expect.stringContaining('too many under way'),
  });
});
