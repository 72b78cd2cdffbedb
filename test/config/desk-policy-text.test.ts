import { expect, it } from 'vitest';
import { defaultPolicy, readDeskPolicy } from '../../config/desk-policy.ts';
import { writeDeskPolicy } from '../../config/desk-policy-text.ts';

it('writes every setting that nobody has written', () => {
  expect(writeDeskPolicy(defaultPolicy)).toBe(`onActivity: throttle
throttleTo: half
onMemoryPressure: pause
onGpuUse: pause
hours: []
idle: {resume: 5m, newWork: 15m}
requeue: {afterMemoryPressure: 2m}
ownJobsGoOn: true
sleep: inhibit
notices: none
`);
});

it('reads as the policy that it was', () => {
  const policy = readDeskPolicy(
    'p',
    `onActivity: pause
throttleTo: 3
onLoad: {cores: 2}
hours: [{from: "9:05", to: "24:00"}, {days: [mon, fri], from: "22:00", to: "6:00", do: throttle}]
idle: {resume: 90s, newWork: 1h0.5s}
requeue: {afterPause: 8h}
ownJobsGoOn: false
sleep: allow
notices: wall`,
  );
  expect(readDeskPolicy('p', writeDeskPolicy(policy))).toEqual(policy);
});
