import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration, readBytes, readDuration, writeDuration } from '../../config/units.ts';

describe('amounts as people write them', () => {
  it('reads bytes in powers of 1024', () => {
    const texts = ['512', '8G', '1.5M', '64KiB', '2 GB', '1t'];
    expect(texts.map(readBytes)).toEqual([512, 8 * 2 ** 30, 1.5 * 2 ** 20, 65_536, 2 * 2 ** 30, 2 ** 40]);
    expect(['', 'G', '8X', '-1', '1e3', '1,5M'].map(readBytes)).toEqual(Array(6).fill(undefined));
  });

  it('reads times', () => {
    expect(['90s', '2h', '1h30m10s', '1d', '250ms', '1.5h'].map(readDuration)).toEqual([
      90_000, 7_200_000, 5_410_000, 86_400_000, 250, 5_400_000,
    ]);
    expect(['', '90', '-1s', '1h 30m', '1w', 'h'].map(readDuration)).toEqual(Array(6).fill(undefined));
  });

  it('prints both for people', () => {
    expect([7, 12_288, 1.5 * 2 ** 30].map(formatBytes)).toEqual(['7 B', '12.0 KiB', '1.5 GiB']);
    expect([350, 4_250, 185_000, 7_800_000, 100_800_000].map(formatDuration)).toEqual([
      '350ms',
      '4.2s',
      '3m05s',
      '2h10m',
      '1d04h',
    ]);
  });

  it('writes times exactly, as they are read', () => {
    expect([0, 500, 90_000, 5_410_000, 90_061_001].map(writeDuration)).toEqual([
      '0s',
      '500ms',
      '1m30s',
      '1h30m10s',
      '1d1h1m1s1ms',
    ]);
    for (const durationMs of [1, 59_999, 3_600_000, 123_456_789])
      expect(readDuration(writeDuration(durationMs))).toBe(durationMs);
  });
});
