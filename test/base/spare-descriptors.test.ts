import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { withSpares } from '../../base/spare-descriptors.ts';

/** The soft limit alone: it can be raised again. */
function limitDescriptors(max: string): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--nofile=${max}:`], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
}

it('reads although every descriptor is taken, again and again', () => {
  const before = /Max open files +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? '1024';
  const taken: number[] = [];
  withSpares(() => 1);
  limitDescriptors(String(Math.max(...readdirSync('/proc/self/fd').map(Number)) + 20));
  onTestFinished(() => {
    for (const fd of taken) closeSync(fd);
    limitDescriptors(before);
  });
  const open = () => taken.push(openSync('/dev/null', 'r'));
  expect(() => {
    for (;;) open();
  }).toThrow(/EMFILE/);
  for (let times = 0; times < 3; times++)
    expect(withSpares(() => readFileSync('/proc/self/comm', 'utf8')).length).toBeGreaterThan(0);
  // They are taken again: others still get none.
  expect(open).toThrow(/EMFILE/);
  expect(() => withSpares(() => readFileSync('/nothing/here'))).toThrow(/ENOENT/);
});
