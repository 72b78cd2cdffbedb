import { expect, it } from 'vitest';
import { urgencyOf } from '../../../node-agent/uplink/urgency.ts';

it('tells an end at once, and with others where so many wait that nobody waits for the head', () => {
  expect([0, 1, 1.9, 2, 8].map((waves) => urgencyOf('ended', () => waves))).toEqual([
    'now',
    'now',
    'now',
    'soon',
    'soon',
  ]);
});

it('tells at once what decides about a job that did not run, however many wait', () => {
  expect([urgencyOf('returned', () => 8), urgencyOf('lost', () => 8)]).toEqual(['now', 'now']);
});
