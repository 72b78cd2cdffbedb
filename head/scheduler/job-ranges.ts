import { assert } from '../../base/assert.ts';

/**
 * A set of job indices as half-open ranges, sorted and apart: `[first, count, first, count, …]`. A matrix of 100,000
 * jobs is two numbers.
 */
export type JobRanges = readonly number[];

/** The ranges that hold exactly these indices, which must be ascending. */
export function rangesOf(ascending: Iterable<number>): JobRanges {
  const ranges: number[] = [];
  let next = -1;
  for (const index of ascending) {
    assert(index >= next, 'indices come in ascending order');
    if (index === next) ranges[ranges.length - 1] = (ranges[ranges.length - 1] ?? 0) + 1;
    else ranges.push(index, 1);
    next = index + 1;
  }
  return ranges;
}

/** Every index of the ranges, in order. */
export function* indicesIn(ranges: JobRanges): Generator<number> {
  for (let at = 0; at + 1 < ranges.length; at += 2) {
    const first = ranges[at] ?? 0;
    const end = first + (ranges[at + 1] ?? 0);
    for (let index = first; index < end; index++) yield index;
  }
}

/** How many indices the ranges hold. */
export function countIn(ranges: JobRanges): number {
  let count = 0;
  for (let at = 1; at < ranges.length; at += 2) count += ranges[at] ?? 0;
  return count;
}
