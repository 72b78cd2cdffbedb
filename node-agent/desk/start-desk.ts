import { background } from '../../base/background.ts';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { DeskSetting } from '../../config/agent.ts';
import type { OpenAgent } from '../open-agent.ts';
import { systemBusAddress } from '../presence/dbus/connection.ts';
import { gpuUse } from '../presence/gpu-use.ts';
import { machineSignals } from '../presence/machine-signals.ts';
import { memoryPressure } from '../presence/memory-pressure.ts';
import { otherLoad } from '../presence/other-load.ts';
import { type StrainName, StrainWatch } from '../presence/strain.ts';
import { openPresence, type PresenceWatch } from '../presence/watch.ts';
import { standardPath } from '../scratch/environment.ts';
import type { Account } from '../scratch/run-as.ts';
import type { AgentRecord } from '../store/agent-record.ts';
import type { DeskCaller } from './caller.ts';
import { DeskKeeper } from './keeper.ts';
import { type Notice, Notices } from './notices.ts';
import { openDesk } from './open-desk.ts';
import { SleepGuard } from './sleep-guard.ts';
import { wall } from './wall.ts';
import { keepsAwake, sceneOf } from './work-scene.ts';

/** What a desk is made of. */
export interface DeskParts {
  /** The agent's own, which never jumps. */
  readonly clock: Clock;
  /** The wall clock. */
  wallMs(): number;
  readonly random: Random;
  readonly log: Log;
  /** The agent's data folder. */
  readonly root: string;
  readonly node: string;
  /** Nobody sits at this machine. */
  readonly dedicated: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The account that jobs run as, where that is not the agent's own. */
  readonly account: Account | undefined;
  readonly ownUid: number;
  readonly record: AgentRecord;
  readonly agent: OpenAgent;
  settings(): DeskSetting;
  /** Physical cores for jobs. */
  cores(): number;
  readonly freezing: string;
  /** How many GPUs this machine has. */
  readonly gpus: number;
}

/** A desk that is watched and answers. */
export interface OpenDesk {
  attemptsChanged(): void;
  /** Somebody elsewhere has opened a terminal here, or one has ended. */
  shellsChanged(): void;
  /** The settings have been read again. */
  reconfigured(): void;
  close(): Promise<void>;
}

/**
 * Watches who is at the desk and lets them say what they want. An agent whose desk socket cannot be opened (its path is
 * too long, its group is unknown) works on, and says so: it still yields to whoever it sees. Resolves when the agent knows
 * what to do for them.
 */
export async function startDesk(parts: DeskParts): Promise<OpenDesk> {
  const { clock, wallMs, random, log, root, record, agent, settings, cores } = parts;
  const presence = parts.dedicated ? undefined : watchDesk(parts);
  // Before they have answered somebody may sit here unseen: jobs would be slowed down, and told so, at every start.
  await presence?.answered();
  const strain = parts.dedicated ? undefined : watchStrain(parts, () => keeper);
  const keeper: DeskKeeper = new DeskKeeper({ clock, wallMs, log, record, agent, settings, cores, presence, strain });
  const sleep = guardSleep(parts, keeper);
  const notices = makeNotices(parts, keeper);
  keeper.onChange(() => {
    sleep.look();
    notices.board.look();
  });
  keeper.look();
  let socket: { close(): Promise<void> } | undefined;
  try {
    socket = await openDesk({
      ...{ clock, wallMs, random, log, root, keeper, agent, presence, cores },
      ...{ node: parts.node, freezing: parts.freezing, group: settings().group },
      mayChange: (caller) => mayChange(caller, parts),
      pauseMaxMs: () => settings().pauseMaxMs,
      sleep: () => sleep.words,
      notice: notices.current,
    });
  } catch (error) {
    log.error({ error: messageOf(error) }, 'nobody at the desk can pause this agent');
  }
  return {
    attemptsChanged: () => keeper.attemptsChanged(),
    shellsChanged: () => keeper.tell(),
    reconfigured: () => keeper.reconfigured(),
    async close() {
      await socket?.close();
      await strain?.close();
      notices.board.close();
      await sleep.close();
      keeper.close();
      await presence?.close();
    },
  };
}

function guardSleep({ clock, log, ownUid, agent }: DeskParts, keeper: DeskKeeper): SleepGuard {
  return new SleepGuard({
    ...{ clock, log, uid: ownUid, busAddress: systemBusAddress, path: standardPath },
    policy: () => keeper.policy.sleep,
    works: () => keepsAwake(agent.attempts(), keeper.yielding),
    setAsleep: (isAsleep) => keeper.setAsleep(isAsleep),
    told: (signal) => agent.told(signal),
    changed: () => keeper.tell(),
  });
}

/** What `notices` of the policy asks for; `current` is what desktop sessions are to show. */
function makeNotices({ clock, log, agent }: DeskParts, keeper: DeskKeeper) {
  let shown: Notice = { text: '', number: 0 };
  const failed = (error: unknown) => log.warn({ error: messageOf(error) }, 'nobody at a terminal was told');
  const board = new Notices({
    clock,
    wanted: () => keeper.policy.notices !== 'none',
    scene: () => sceneOf(agent.attempts(), keeper.yielding),
    show(text) {
      if (keeper.policy.notices === 'wall') return background(wall(text, standardPath).catch(failed));
      shown = { text, number: shown.number + 1 };
      keeper.tell();
    },
  });
  const current = () => (keeper.policy.notices === 'notify' ? shown : { ...shown, text: '' });
  return { board, current };
}

function watchDesk({ clock, wallMs, log, env, account, ownUid, settings }: DeskParts): PresenceWatch {
  const jobUids = account ? [account.uid] : [];
  const { inputDevices: inputPaths, policy } = settings();
  const signals = machineSignals({ clock, wallMs, env, uid: ownUid, jobUids, inputPaths });
  return openPresence({ clock, log, signals, awayAfterMs: policy.resumeIdleMs });
}

/** Only while jobs run, and only what the policy asks about. */
function watchStrain({ clock, log, agent, gpus }: DeskParts, keeper: () => DeskKeeper): StrainWatch {
  const ours = () => agent.ownProcesses();
  const limitCores = () => keeper().policy.onLoad?.cores;
  return new StrainWatch({
    ...{ clock, log },
    probes: {
      memory: memoryPressure(),
      load: otherLoad({ monotonicMs: () => clock.monotonicMs(), ours, limitCores }),
      gpu: gpuUse({ path: standardPath, ours }),
    },
    wanted() {
      const { onMemoryPressure, onGpuUse, onLoad } = keeper().policy;
      // Compilers are in the way, too.
      const working = agent.attempts().filter(({ phase }) => phase.kind === 'running' || phase.kind === 'building');
      if (working.length === 0) return new Set();
      const usesGpu = working.some(({ id, phase }) => phase.kind === 'running' && agent.usesGpu(id));
      const wanted: StrainName[] = [];
      if (onMemoryPressure !== 'nothing') wanted.push('memory');
      if (onGpuUse !== 'nothing' && gpus > 0 && usesGpu) wanted.push('gpu');
      if (onLoad && onLoad.do !== 'nothing') wanted.push('load');
      return new Set(wanted);
    },
    changed: () => keeper().look(),
  });
}

/** Where the admin named no owner, whoever may open the socket is one. */
function mayChange({ uid, name }: DeskCaller, { settings, ownUid }: DeskParts): boolean {
  const { owner } = settings();
  return owner === undefined || name === owner || uid === 0 || uid === ownUid;
}
