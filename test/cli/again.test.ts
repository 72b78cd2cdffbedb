import { expect, it } from 'vitest';
import { Fault, RefusedError, refused } from '../../base/errors.ts';
import { again } from '../../cli/again.ts';
import { makePrinter } from '../../cli/print.ts';

const lost = () => new Fault('UNAVAILABLE', 'the line is cut');
const said: string[] = [];
const print = { ...makePrinter('never'), note: (text: string) => void said.push(text) };

it('does a task again when its connection breaks, once the head was heard', async () => {
  let tries = 0;
  const done = again(print, async (heard) => {
    heard();
    tries += 1;
    if (tries === 1) throw lost();
    if (tries === 2) throw new Fault('CANCELLED', 'Call cancelled'); // a head that stops
    return tries;
  });
  expect(await done).toBe(3);
  expect(said).toEqual([
    'The connection to the head is lost; trying again',
    'The connection to the head is lost; trying again',
  ]);
});

it('waits for no head that was never heard, and repeats nothing that was refused', async () => {
  let tries = 0;
  const fails = (error: Error, hears: boolean) =>
    again(print, async (heard) => {
      tries += 1;
      if (hears) heard();
      throw error;
    });
  await expect(fails(lost(), false)).rejects.toThrow('the line is cut');
  await expect(fails(new RefusedError(refused('not-found', 'no such batch')), true)).rejects.toThrow('no such batch');
  expect(tries).toBe(2);
});

it('ends with its signal', async () => {
  const leave = new AbortController();
  const done = again(
    print,
    async () => {
      leave.abort(new Error('left'));
      throw lost();
    },
    { isReached: true, signal: leave.signal },
  );
  await expect(done).rejects.toThrow('left');
});
