import { expect, it } from 'vitest';
import { Pipe } from '../../base/pipe.ts';

const letter = (text: string) => ({ text });

it('makes whoever writes wait for its reader, and gives everything in order', async () => {
  const pipe = new Pipe<{ text: string }>(2);
  expect(await pipe.write(letter('a'))).toBe(true);
  expect(await pipe.write(letter('b'))).toBe(true);
  let isTaken = false;
  const third = pipe.write(letter('c')).then((taken) => {
    isTaken = true;
    return taken;
  });
  await Promise.resolve();
  expect(isTaken).toBe(false);
  const reader = pipe[Symbol.asyncIterator]();
  expect((await reader.next()).value).toEqual(letter('a'));
  expect(await third).toBe(true);
  expect((await reader.next()).value).toEqual(letter('b'));
  expect((await reader.next()).value).toEqual(letter('c'));
});

it('closed, takes nothing more, frees who waits, and still gives what it holds', async () => {
  const pipe = new Pipe<{ text: string }>(1);
  await pipe.write(letter('a'));
  const waiting = pipe.write(letter('b'));
  pipe.close();
  expect(await waiting).toBe(false);
  expect(await pipe.write(letter('c'))).toBe(false);
  const read: unknown[] = [];
  for await (const value of pipe) read.push(value);
  expect(read).toEqual([letter('a')]);
});

it('closed while somebody reads, ends their loop', async () => {
  const pipe = new Pipe<{ text: string }>(1);
  const next = pipe[Symbol.asyncIterator]().next();
  pipe.close();
  expect((await next).done).toBe(true);
});
