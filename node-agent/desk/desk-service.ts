import { Crowd } from '../../base/channel/crowd.ts';
import type { Clock } from '../../base/clock.ts';
import { type Refusal, refused } from '../../base/errors.ts';
import { Gate } from '../../base/gate.ts';
import { harmlessLine } from '../../base/harmless.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { writeDeskPolicy } from '../../config/desk-policy-text.ts';
import type { DeskServer, DeskState, PolicyText } from '../../proto/gen/labrun/v1/desk.ts';
import type { OpenAgent } from '../open-agent.ts';
import type { PresenceWatch } from '../presence/watch.ts';
import type { DeskCaller, DeskCallers } from './caller.ts';
import { deskLimits, deskReports, deskStream, deskUnary } from './calls.ts';
import { writeDeskState } from './desk-state.ts';
import type { DeskKeeper } from './keeper.ts';
import type { Notice } from './notices.ts';
import { takeReports } from './session-reports.ts';

/** What the desk's service needs. */
export interface DeskServicePorts {
  readonly clock: Clock;
  /** The wall clock, for people. */
  wallMs(): number;
  readonly random: Random;
  readonly keeper: DeskKeeper;
  readonly agent: Pick<OpenAgent, 'attempts' | 'jobName' | 'shells' | 'headConnected'>;
  readonly presence: PresenceWatch | undefined;
  readonly callers: Pick<DeskCallers, 'identify'>;
  readonly node: string;
  cores(): number;
  readonly freezing: string;
  /** How long a pause may be at a time. */
  pauseMaxMs(): number;
  /** What is done about sleep, in words. */
  sleep(): string;
  /** What sessions of people are to show. */
  notice(): Notice;
  /** Whether this account may change the policy: the machine's owner, the agent's own account, root. */
  mayChange(caller: DeskCaller): boolean;
}

/** Longest reason of a pause, in characters. */
const reasonMax = 200;
/** States are told at most this often, in milliseconds: jobs of a moment come and go. */
const tellEveryMs = 200;

/** The service behind the desk socket. */
export function deskService(ports: DeskServicePorts, log: Log): DeskServer {
  const { keeper, agent, presence, clock } = ports;
  const door = { log, callers: ports.callers, crowd: new Crowd(deskLimits, 'this agent') };
  const state = (caller: DeskCaller): DeskState =>
    writeDeskState(keeper, {
      node: ports.node,
      nowMs: clock.nowMs(),
      wallMs: ports.wallMs(),
      sinceBootMs: clock.sinceBootMs(),
      attempts: agent.attempts(),
      jobName: (id) => agent.jobName(id),
      shells: agent.shells(),
      verdict: presence?.current(),
      headConnected: agent.headConnected,
      cores: ports.cores(),
      freezing: ports.freezing,
      mayChange: ports.mayChange(caller),
      sleep: ports.sleep(),
      notice: ports.notice(),
      pauseMaxMs: ports.pauseMaxMs(),
    });
  return {
    pause: deskUnary(door, async ({ forMs, reason, until }, caller) => {
      if (until !== '' && until !== 'tomorrow' && until !== 'away')
        return refused('unsupported', `Cannot pause until "${until}": this agent knows "tomorrow" and "away"`);
      if (reason.length > reasonMax)
        return refused('limit', `Cannot pause: the reason has over ${reasonMax} characters`);
      const words = harmlessLine(reason).trim();
      const no = await keeper.pause(caller.name, {
        forMs: forMs === undefined ? undefined : Number(forMs),
        until: until === '' ? undefined : until,
        reason: words,
      });
      return no ?? state(caller);
    }),
    resume: deskUnary(door, async ({ all }, caller) => {
      await keeper.resume(all ? undefined : caller.name);
      return state(caller);
    }),
    watch: deskStream(door, ({ follow }, caller, signal) => states(ports, () => state(caller), follow, signal)),
    getPolicy: deskUnary(door, async (_, caller) => policyFor(caller, ports)),
    setPolicy: deskUnary(door, async ({ yaml }, caller) => {
      if (!ports.mayChange(caller)) return notYours(caller);
      return (await keeper.setPolicy(yaml)) ?? policyFor(caller, ports);
    }),
    report: deskReports(door, async (messages, caller) => {
      if (presence) await takeReports(messages, caller, presence, ports);
      return {};
    }),
  };
}

function policyFor(caller: DeskCaller, { keeper, mayChange }: DeskServicePorts): PolicyText {
  const { policyText, policy, policyRefusal } = keeper;
  const no = policyRefusal ?? (mayChange(caller) ? undefined : notYours(caller));
  return { yaml: policyText, effective: writeDeskPolicy(policy), refusal: no?.message ?? '' };
}

function notYours({ name }: DeskCaller): Refusal {
  return refused(
    'denied',
    `Cannot change the policy: "${name}" is not the owner of this machine; its admin names one with desk.owner in agent.yaml`,
  );
}

/** The state now, and, when asked to follow, whenever something was different. */
async function* states(
  { keeper, clock, presence }: DeskServicePorts,
  state: () => DeskState,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<DeskState> {
  let changed = false;
  const gate = new Gate(() => changed);
  const note = () => {
    changed = true;
    gate.opened();
  };
  const stops = [keeper.onChange(note), presence?.onChange(note)];
  try {
    yield state();
    while (follow) {
      await gate.pass(signal);
      await new Promise<void>((resolve) => clock.setTimer(tellEveryMs, resolve));
      changed = false;
      yield state();
    }
  } finally {
    for (const stop of stops) stop?.();
  }
}
