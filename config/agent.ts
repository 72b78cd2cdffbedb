import { z } from 'zod';
import { nameProblem } from '../base/names.ts';
import { type DeskPolicy, defaultPolicy, deskPolicyFile, policyOf } from './desk-policy.ts';
import { asWritten, section } from './reading/section.ts';
import { amountFrom, readSettings, time } from './reading/settings-file.ts';

/** What an admin may say about a workstation, in `agent.yaml`. Every default stands beside its setting. */

const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'is no name of a variable' });

const capability = section({
  /** What batches may compare, `openfoam>=1912`. Default: what the probe prints on its first line, else none. */
  version: asWritten('a version').optional(),
  /** Shell text; the node has the capability where it exits with 0. Default: the node simply has it. */
  probe: z.string().min(1).optional(),
  /** Shell text run before the probe, builds and jobs that need it, like `source …/bashrc`. */
  setup: z.string().min(1).optional(),
  /** Variables for the same. */
  env: z.record(variableName, asWritten('the value of a variable')).default({}),
});

const capabilityName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]*$/, {
  error: 'expected the name of a capability: letters, digits and . _ + -',
});

const accountName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/, { error: 'expected the name of a local account or group' });

export const agentFile = section({
  /** What people call this node. Default: the host's name. */
  name: z
    .string()
    .refine((name) => nameProblem(name) === undefined, { error: 'expected a name: letters, digits and . _ + = , @ -' })
    .optional(),
  /** Physical cores that jobs may use, 1 to 4096. Default: all. */
  cpus: z.int().min(1).max(4_096).optional(),
  /** Bytes of memory that jobs may claim, at least 64M. Default: all. */
  memory: amountFrom('64M').optional(),
  /** Bytes of scratch that jobs may claim, at least 64M. Default: what is free in the data folder. */
  disk: amountFrom('64M').optional(),
  /** What the node offers besides what the agent finds itself; one of the same name takes its place. */
  capabilities: z.record(capabilityName, capability.nullable()).default({}),
  blobs: section({
    /** Bytes of inputs kept for the next job, at least 64M. Default: 20G. */
    quota: amountFrom('64M').default(20 * 2 ** 30),
  }).prefault({}),
  builds: section({
    /** Bytes of finished builds kept for the next batch, at least 64M. Default: 20G. */
    quota: amountFrom('64M').default(20 * 2 ** 30),
  }).prefault({}),
  /** The local account that jobs run as; the agent must be root for it. Default: the agent's own. */
  runAs: accountName.optional(),
  /**
   * How jobs are stopped: by the freezer of control groups of version 2 or 1, or by SIGSTOP to each process. An agent that
   * cannot have the one that is named does not start. Read when it starts. Default: auto, the best that the machine has.
   */
  freezing: z
    .enum(['auto', 'cgroup-v2', 'cgroup-v1', 'stop'], { error: 'expected auto, cgroup-v2, cgroup-v1 or stop' })
    .default('auto'),
  isolation: section({
    /** Folders of software that jobs with `isolation: strict` may read besides the system's. Default: /opt. */
    readable: z.array(z.string().regex(/^\/./, { error: 'expected a path that starts with /' })).default(['/opt']),
  }).prefault({}),
  limits: section({
    /** Processes and threads that one job may have at a time, 16 to 1000000. Default: 4096. */
    processes: z.int().min(16).max(1_000_000).default(4_096),
    /**
     * Bytes that stay free on the disk of the data folder: below, the job that wrote most is ended. Default: 512M, or a
     * fiftieth of a small disk.
     */
    diskReserve: amountFrom('0').optional(),
    /**
     * Bytes that the files of one archive may claim without taking them on the disk: holes of sparse files, further
     * names of one file. What is beyond is left out and named. Default: 16G.
     */
    holes: amountFrom('0').default(16 * 2 ** 30),
  }).prefault({}),
  desk: section({
    /** Members of this group may pause what runs here, besides the agent's own account. Default: nobody. */
    group: accountName.optional(),
    /** Who sits here: may change the policy, and their own jobs go on while they work. Default: every member may change it. */
    owner: accountName.optional(),
    /** Longest pause that somebody may ask for at a time, 1m to 7d. Default: 4h. */
    pauseMax: time('1m', '7d').default(4 * 3_600_000),
    /** What is done while somebody is there, where the owner has said nothing. Default: docs/desk.md. */
    policy: deskPolicyFile.optional(),
    /** The owner may not say anything else. Default: false. */
    policyIsFixed: z.boolean().default(false),
    /** Devices and FIFOs of input events in place of those of /dev/input; read when the agent starts. */
    inputDevices: z
      .array(z.string().regex(/^\/./, { error: 'expected a path that starts with /' }))
      .max(32)
      .optional(),
  }).prefault({}),
  /** Whether people elsewhere may open terminals here (`labrun shell`). Default: true. */
  shell: z.boolean().default(true),
  /** Between SIGTERM and SIGKILL when a job has run out of time, 0s to 1h. Default: 10s. */
  killGrace: time('0s', '1h').default(10_000),
});

/** How an agent is set up. Amounts in bytes, times in milliseconds. */
export interface AgentSettings {
  readonly name: string | undefined;
  readonly cpus: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly diskBytes: number | undefined;
  readonly capabilities: Readonly<Record<string, CapabilitySetting>>;
  readonly blobsQuotaBytes: number;
  readonly buildsQuotaBytes: number;
  /** The account that jobs run as. */
  readonly runAs: string | undefined;
  /** How jobs are stopped. */
  readonly freezing: 'auto' | 'cgroup-v2' | 'cgroup-v1' | 'stop';
  /** Folders that isolated jobs may read besides the system's. */
  readonly readable: readonly string[];
  /** Processes and threads of one job at a time. */
  readonly processesMax: number;
  readonly diskReserveBytes: number | undefined;
  /** Of one archive: what may be claimed without being on the disk. */
  readonly holesMaxBytes: number;
  /** Whether people elsewhere may open terminals here. */
  readonly shell: boolean;
  readonly killGraceMs: number;
  readonly desk: DeskSetting;
}

/** What an admin says about the desk of a workstation. */
export interface DeskSetting {
  readonly group: string | undefined;
  readonly owner: string | undefined;
  readonly pauseMaxMs: number;
  /** Where the owner has said nothing. */
  readonly policy: DeskPolicy;
  readonly policyIsFixed: boolean;
  /** In place of those of /dev/input. */
  readonly inputDevices: readonly string[] | undefined;
}

/** A capability that an admin set up. */
export interface CapabilitySetting {
  readonly version: string | undefined;
  readonly probe: string | undefined;
  readonly setup: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Reads the agent's settings. A file that is `required` (asked for by name) must be there; else its absence means
 * defaults. Rejects with `ConfigError`.
 */
export async function readAgentSettings(path: string, options: { readonly required: boolean }): Promise<AgentSettings> {
  const file = await readSettings(path, agentFile, { ...options, isText: isCapabilityText });
  const capabilities = Object.entries(file.capabilities).map(([name, setting]): [string, CapabilitySetting] => [
    name,
    { version: setting?.version, probe: setting?.probe, setup: setting?.setup, env: setting?.env ?? {} },
  ]);
  return Object.freeze({
    name: file.name,
    cpus: file.cpus,
    memoryBytes: file.memory,
    diskBytes: file.disk,
    capabilities: Object.fromEntries(capabilities),
    blobsQuotaBytes: file.blobs.quota,
    buildsQuotaBytes: file.builds.quota,
    runAs: file.runAs,
    freezing: file.freezing,
    readable: file.isolation.readable,
    processesMax: file.limits.processes,
    diskReserveBytes: file.limits.diskReserve,
    holesMaxBytes: file.limits.holes,
    shell: file.shell,
    killGraceMs: file.killGrace,
    desk: {
      group: file.desk.group,
      owner: file.desk.owner,
      pauseMaxMs: file.desk.pauseMax,
      policy: file.desk.policy ? policyOf(file.desk.policy) : defaultPolicy,
      policyIsFixed: file.desk.policyIsFixed,
      inputDevices: file.desk.inputDevices,
    },
  });
}

/** `version: 1.10` is the text 1.10, and so are values of variables. */
function isCapabilityText(path: readonly (string | number)[]): boolean {
  return path[0] === 'capabilities' && (path[2] === 'version' || path[2] === 'env');
}
