import { expect, it } from 'vitest';
import { type CallKind, Crowd } from '../../../base/channel/crowd.ts';

const callLimits = {
  unary: { perCaller: 4, inAll: 100 },
  upload: { perCaller: 3, inAll: 100 },
  stream: { perCaller: 2, inAll: 8 },
};

function fill(crowd: Crowd, caller: string, kind: CallKind, count: number): (() => void)[] {
  return Array.from({ length: count }, () => {
    const leave = crowd.enter(caller, kind);
    if (typeof leave !== 'function') throw new Error(leave.message);
    return leave;
  });
}

it('lets one caller have so many uploads under way and no more, other calls beside them, and others theirs', () => {
  const crowd = new Crowd(callLimits, 'the desk');
  const [first] = fill(crowd, 'user ada', 'upload', callLimits.upload.perCaller);
  expect(crowd.enter('user ada', 'upload')).toMatchObject({
    code: 'busy',
    message: expect.stringContaining('3 uploads of yours are under way'),
  });
  fill(crowd, 'user ada', 'unary', 1);
  fill(crowd, 'user bob', 'upload', 1);
  first?.();
  first?.(); // an end that is told twice is one
  fill(crowd, 'user ada', 'upload', 1);
  expect(crowd.enter('user ada', 'upload')).toMatchObject({ code: 'busy' });
});

it('has an end for all together', () => {
  const crowd = new Crowd(callLimits, 'the desk');
  const { perCaller, inAll } = callLimits.stream;
  for (let caller = 0; caller < inAll / perCaller; caller++) fill(crowd, `user ${caller}`, 'stream', perCaller);
  expect(crowd.enter('user one-more', 'stream')).toMatchObject({
    code: 'busy',
    message: expect.stringContaining('the desk has too many streams under way'),
  });
  fill(crowd, 'user one-more', 'unary', 1);
});
