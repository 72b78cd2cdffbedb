import { type DeskPolicy, dayNames, type PolicyHours } from './desk-policy.ts';
import { writeDuration } from './units.ts';

/** A policy with every setting written out, in YAML: what it says is the same policy. */
export function writeDeskPolicy(policy: DeskPolicy): string {
  const { onLoad, hours, requeueAfterPauseMs } = policy;
  const requeue = [
    ...(requeueAfterPauseMs === undefined ? [] : [`afterPause: ${writeDuration(requeueAfterPauseMs)}`]),
    `afterMemoryPressure: ${writeDuration(policy.requeueAfterMemoryMs)}`,
  ];
  const idle = `resume: ${writeDuration(policy.resumeIdleMs)}, newWork: ${writeDuration(policy.newWorkIdleMs)}`;
  return [
    `onActivity: ${policy.onActivity}`,
    `throttleTo: ${policy.throttleTo}`,
    `onMemoryPressure: ${policy.onMemoryPressure}`,
    `onGpuUse: ${policy.onGpuUse}`,
    ...(onLoad === undefined ? [] : [`onLoad: {cores: ${onLoad.cores}, do: ${onLoad.do}}`]),
    ...(hours.length === 0 ? ['hours: []'] : ['hours:', ...hours.map((window) => `  - ${hoursText(window)}`)]),
    `idle: {${idle}}`,
    `requeue: {${requeue.join(', ')}}`,
    `ownJobsGoOn: ${policy.ownJobsGoOn}`,
    `sleep: ${policy.sleep}`,
    `notices: ${policy.notices}`,
    '',
  ].join('\n');
}

function hoursText({ days, fromMinute, toMinute, do: step }: PolicyHours): string {
  const names = days.map((day) => dayNames[day]).join(', ');
  return `{days: [${names}], from: "${timeOfDay(fromMinute)}", to: "${timeOfDay(toMinute)}", do: ${step}}`;
}

function timeOfDay(minute: number): string {
  return `${Math.floor(minute / 60)}:${String(minute % 60).padStart(2, '0')}`;
}
