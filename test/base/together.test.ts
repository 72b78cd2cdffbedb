import { expect, it } from 'vitest';
import { type Deferred, deferred } from '../../base/deferred.ts';
import { Together } from '../../base/together.ts';

/** What was asked for in one question, and the answer that the test gives. */
interface Asked {
  readonly items: readonly string[];
  readonly answer: Deferred<readonly string[]>;
}

function aTogether(): { readonly asked: Asked[]; readonly together: Together<string, string> } {
  const asked: Asked[] = [];
  const together = new Together<string, string>((items) => {
    const answer = deferred<readonly string[]>();
    asked.push({ items, answer });
    return answer.promise;
  });
  return { asked, together };
}

it('asks for what comes in one turn with one question, and for what comes meanwhile with the next', async () => {
  const { asked, together } = aTogether();
  const first = [together.ask('a'), together.ask('b')];
  await Promise.resolve();
  const second = [together.ask('c'), together.ask('d')];
  expect(asked.map(({ items }) => items)).toEqual([['a', 'b']]);
  asked[0]?.answer.resolve(['A', 'B']);
  expect(await Promise.all(first)).toEqual(['A', 'B']);
  expect(asked.map(({ items }) => items)).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  asked[1]?.answer.resolve(['C', 'D']);
  expect(await Promise.all(second)).toEqual(['C', 'D']);
});

it('fails those of one question alone', async () => {
  const { asked, together } = aTogether();
  const first = Promise.allSettled([together.ask('a'), together.ask('b')]);
  await Promise.resolve();
  const second = together.ask('c');
  asked[0]?.answer.reject(new Error('no'));
  expect(await first).toMatchObject([{ reason: { message: 'no' } }, { reason: { message: 'no' } }]);
  asked[1]?.answer.resolve(['C']);
  expect(await second).toBe('C');
});

it('fails those whom an answer leaves out', async () => {
  const { asked, together } = aTogether();
  const both = Promise.allSettled([together.ask('a'), together.ask('b')]);
  await Promise.resolve();
  asked[0]?.answer.resolve(['A']);
  expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
