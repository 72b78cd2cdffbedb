import { systemClock } from '../base/clock.ts';
import { formatDuration, writeDuration } from '../config/units.ts';
import type { DeskJob, DeskPause, DeskShell, DeskState, PresenceView } from '../proto/gen/labrun/v1/desk.ts';
import { counted, isoTime, type Printer, stateText } from './print.ts';
import { tableText } from './table.ts';

/** What the machine does for the person at its desk, in a line. */
export function yieldText(state: DeskState): string {
  const { step, cause, by, reason, untilMs, takesJobs, condition } = state;
  const why = reason === '' ? '' : `: ${reason}`;
  const until = untilMs === undefined ? '' : ` until ${clockText(untilMs)}`;
  const leaves = state.pauses.some((pause) => pause.by === by && pause.untilAway);
  if (step === 'pause' && cause === 'asked') {
    return `paused by ${by}${leaves ? ` until they leave, at most${until}` : until}${why}`;
  }
  if (cause === 'asleep') return 'asleep, or about to be';
  const wait = takesJobs ? '' : `; new jobs start ${condition}`;
  if (step === 'pause') return `paused${until}${why}${wait}`;
  if (step === 'throttle') return `slowed down${until}${why}${wait}`;
  return takesJobs ? 'at work: nobody is in the way' : `nothing new starts${why}${wait}`;
}

/** All that the desk says, for people. */
export function deskText(state: DeskState, print: Printer): readonly string[] {
  const { jobs, presence, cores, coreHoursThisWeek, headConnected, dedicated } = state;
  const used = jobs.filter((job) => job.state === 'running').reduce((sum, { cpus }) => sum + cpus, 0);
  return [
    `${print.colour.bold(state.node)}  ${yieldText(state)}`,
    `${counted(jobs.length, 'job')}, ${used} of ${counted(cores, 'core')}; ${coreHoursThisWeek.toFixed(1)} core hours given this week`,
    ...(presence ? [`desk: ${presenceText(presence)}`] : []),
    ...(dedicated ? ['dedicated: nobody is watched for, only a pause stops it'] : []),
    ...(headConnected ? [] : ['the head is away: what runs goes on, and results wait here']),
    ...(state.trouble === '' ? [] : [print.colour.red(state.trouble)]),
    ...(state.sleep === '' ? [] : [`sleep: ${state.sleep}`]),
    `stops jobs by: ${state.freezing}`,
    ...state.pauses.map(pauseText),
    ...state.shells.map(shellText),
    ...(jobs.length === 0 ? [] : [jobsText(jobs, print)]),
  ];
}

function pauseText({ by, sinceMs, untilMs, untilAway, reason }: DeskPause): string {
  const until = untilAway ? `until they leave, ${clockText(untilMs)} at the latest` : `until ${clockText(untilMs)}`;
  return `pause of ${by} since ${clockText(sinceMs)}, ${until}${reason && `: ${reason}`}`;
}

/** Says that the pause which was just asked for is as long as one may be, and no longer; nothing where it may be longer. */
export function cutText({ pauses, pauseMaxMs }: DeskState): string | undefined {
  const last = pauses.at(-1);
  const leftMs = Number(last?.untilMs ?? 0n) - systemClock.nowMs();
  if (last === undefined || pauseMaxMs === 0n || leftMs < Number(pauseMaxMs) - justNowMs) return undefined;
  return `No pause is longer than ${writeDuration(Number(pauseMaxMs))} here: pause again before ${clockText(last.untilMs)} to renew it`;
}

/** An answer takes less than this, in milliseconds. */
const justNowMs = 60_000;

/** Who has a terminal here, for whoever may wonder what they type. */
function shellText({ user, sinceMs, job }: DeskShell): string {
  const where = job ? `in ${nameOf(job)}` : 'on this machine';
  return `shell of ${user} ${where}, opened ${agoText(sinceMs)}`;
}

/** Who is at the desk, in a line. */
export function presenceText({ present, why, lastActivityMs }: PresenceView): string {
  const last = lastActivityMs === undefined ? '' : `, last seen ${agoText(lastActivityMs)}`;
  return `${present ? 'somebody is there' : 'nobody is there'} (${why}${last})`;
}

/** For scripts. */
export function deskJson(state: DeskState) {
  const { presence } = state;
  return {
    node: state.node,
    step: state.step,
    takesJobs: state.takesJobs,
    cause: state.cause,
    by: state.by,
    reason: state.reason,
    since: isoTime(state.sinceMs),
    until: isoTime(state.untilMs),
    condition: state.condition,
    pauses: state.pauses.map(({ by, reason, sinceMs, untilMs }) => {
      return { by, reason, since: isoTime(sinceMs), until: isoTime(untilMs) };
    }),
    jobs: state.jobs.map(({ startedMs, pausedMs, ...job }) => {
      return { ...job, startedAt: isoTime(startedMs), pausedMs: Number(pausedMs) };
    }),
    shells: state.shells.map(({ user, sinceMs, job }) => {
      const { namespace, batch, index, attempt } = job ?? {};
      return { user, since: isoTime(sinceMs), job: job ? { namespace, batch, index, attempt } : null };
    }),
    presence: presence ? presenceJson(presence) : null,
    headConnected: state.headConnected,
    coreHoursThisWeek: state.coreHoursThisWeek,
    cores: state.cores,
    freezing: state.freezing,
    dedicated: state.dedicated,
    mayChange: state.mayChange,
    sleep: state.sleep,
    trouble: state.trouble,
  };
}

/** The same of presence alone. */
export function presenceJson({ present, why, lastActivityMs, signals }: PresenceView) {
  return {
    present,
    why,
    lastActivity: isoTime(lastActivityMs),
    signals: signals.map(({ name, verdict, lastActivityMs: lastMs, detail }) => {
      return { name, verdict, lastActivity: isoTime(lastMs), detail };
    }),
  };
}

/** How long ago a moment of this machine's clock was. */
export function agoText(atMs: bigint): string {
  return `${formatDuration(Math.max(0, systemClock.nowMs() - Number(atMs)))} ago`;
}

function jobsText(jobs: readonly DeskJob[], print: Printer): string {
  const columns = [
    { head: 'JOB', cuts: true },
    { head: 'OF' },
    { head: 'STATE' },
    { head: 'CORES', align: 'right' },
    { head: 'STARTED' },
    { head: 'PAUSED' },
  ] as const;
  const rows = jobs.map((job) => [
    nameOf(job),
    job.user,
    stateText(print, job.state),
    String(job.cpus),
    job.startedMs === undefined ? '' : agoText(job.startedMs),
    job.pausedMs === 0n ? '' : formatDuration(Number(job.pausedMs)),
  ]);
  return tableText(print, columns, rows);
}

/** By its name; by its number while the agent has not read its batch. */
function nameOf({ namespace, batch, name, index }: DeskJob): string {
  return `${namespace}/${batch}${name === '' ? ` #${index}` : `/${name}`}`;
}

/** A moment of today by its time, any other with its day, in the machine's own time zone. */
function clockText(atMs: bigint): string {
  const at = new Date(Number(atMs));
  const time = `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`;
  const isToday = at.toDateString() === new Date(systemClock.nowMs()).toDateString();
  return isToday
    ? time
    : `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')} ${time}`;
}
