import { describe, expect, it } from 'vitest';
import { makeBackoff } from '../../base/backoff.ts';

const middle = { next: () => 0.5, bytes: (count: number) => new Uint8Array(count) };

describe('waits between tries', () => {
  it('grow to a cap and begin anew after a success', () => {
    const backoff = makeBackoff({ firstMs: 100, capMs: 500 }, middle);
    expect([1, 2, 3, 4, 5].map(() => backoff.nextMs())).toEqual([75, 150, 300, 375, 375]);
    backoff.reset();
    expect(backoff.nextMs()).toBe(75);
  });

  it('are never longer than the cap or shorter than half the full wait', () => {
    for (const chance of [0, 0.999]) {
      const backoff = makeBackoff({ firstMs: 10, capMs: 40 }, { ...middle, next: () => chance });
      for (let tries = 0; tries < 100; tries++) {
        const waitMs = backoff.nextMs();
        expect(waitMs).toBeGreaterThanOrEqual(5);
        expect(waitMs).toBeLessThanOrEqual(40);
      }
    }
  });
});
