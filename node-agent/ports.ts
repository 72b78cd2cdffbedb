import type { AttemptId } from '../base/ids.ts';
import type { ContentHash } from '../base/transfer/hash.ts';
import type { FileOwner } from '../base/transfer/open-kept.ts';
import type { BatchSpec, Params } from '../config/spec.ts';

/**
 * The agent's seams. The core (attempts/, agent.ts, uplink/) decides; these do. Each has a real implementation in the
 * room named, and tests may put a twin in its place.
 */

/** Whether the disk under the agent's own data lets it take jobs. */
export interface OwnDisk {
  /** Why not, in words for people that stay the same while it lasts; empty: it does. */
  readonly trouble: string;
  /** Whether it does not, or did not a moment ago. */
  readonly troubledLately: boolean;
  /** Calls whenever it does again. */
  onWell(listener: () => void): void;
  /** Calls now and then while it is short of so many bytes: whoever has what can be had again gives it up. */
  onShort(listener: (bytes: number) => void): void;
  /** Calls while the disk refuses the agent's record, at once or when it does. Answers how to stop. */
  onStuck(listener: () => void): () => void;
}

/** One process tree to start: a job or a build. */
export interface ProcessRequest {
  /** The directory that is its own: identity, exit status and log are written there. */
  readonly home: string;
  /** The name that goes into the environment as the mark by which stray processes are found. */
  readonly id: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly limits: ProcessLimits;
}

/** What a process tree may use. */
export interface ProcessLimits {
  /** 0: no limit of its own. */
  readonly memoryBytes: number;
  /** Processes and threads at a time, at least 1. */
  readonly processes: number;
  /** What it may have written at a time below its home; 0: no limit of its own. */
  readonly diskBytes: number;
  /** Its weight when cores are short. */
  readonly cpus: number;
}

/** The limits that end a tree which wants more. */
export type LimitName = 'memory' | 'processes' | 'disk';

/** How a process tree ended. `refused`: the kernel counted that it wanted more of this than its limit while it ran. */
export type ProcessEnd =
  | { readonly kind: 'exited'; readonly exitCode: number; readonly ranMs: number; readonly refused?: LimitName }
  | { readonly kind: 'signalled'; readonly signal: number; readonly ranMs: number; readonly refused?: LimitName }
  /** Its supervisor is gone without a word: killed, or the machine went down. */
  | { readonly kind: 'lost'; readonly message: string };

/** A process tree that was started, by this agent or by the one before it. */
export interface RunningProcess {
  readonly startedAtMs: number;
  /** Resolves when the main process has ended and the supervisor has written how; never rejects. */
  readonly ended: Promise<ProcessEnd>;
}

/** How trees are stopped: by the kernel's freezer for control groups, or by SIGSTOP to everything found. */
export type FreezingName = 'cgroup-v2' | 'cgroup-v1' | 'stop';

/** What became of a tree that was to stand still. */
export interface Frozen {
  /** How many there are in it, those of `missed` among them. */
  readonly processes: number;
  readonly tookMs: number;
  /**
   * Ids of those that run all the same: nobody of our account may signal them (they changed their user), or they did not
   * stop in time. A look every few seconds goes on trying where the kernel does not.
   */
  readonly missed: readonly number[];
}

/** Less than a tree would take: always at the lowest weight and the idle I/O class, and at most so many cores. */
export interface Throttle {
  /** Above 0. Where the kernel counts no time (`ThrottleFacts.cores` is "affinity") the sum of all trees is rounded up. */
  readonly cores: number;
}

/** Which parts of a throttle took hold, and by what. */
export interface ThrottleFacts {
  /** "cgroup": a quota of time; "affinity": all throttled trees share as many cores as they may have together. */
  readonly cores: 'cgroup' | 'affinity' | 'none';
  /** "nice": of all processes, and of their sessions where the kernel groups by these. */
  readonly weight: 'cgroup' | 'nice' | 'none';
  readonly io: 'class' | 'none';
  /** Ids of processes that could not be reached: they changed their user. */
  readonly missed: readonly number[];
}

/** Processes that outlive the agent (`executor/`). */
export interface Executor {
  /** How everything a job started is found here: "cgroup-v2", "cgroup-v1", "subreaper" or "session". */
  readonly tracking: string;
  /** How trees are stopped here. */
  readonly freezing: FreezingName;
  /** Starts it at most once: a home that holds an identity already is an error. Resolves when the identity is on disk. */
  start(request: ProcessRequest): Promise<RunningProcess>;
  /**
   * Picks up what an earlier agent started in this home; nothing when nothing was ever started there. Of another boot
   * of the machine it is `lost`, whatever the files say.
   */
  adopt(home: string): Promise<RunningProcess | undefined>;
  /**
   * SIGTERM to everything of it, then SIGKILL to what is left after `graceMs`. Resolves when nothing is left. Call it
   * also after `ended`, before the home is wiped: daemons of the job may be left, and it costs nothing when none are.
   */
  kill(home: string, graceMs: number): Promise<void>;
  /** Ids of all living processes of it. */
  processes(home: string): Promise<readonly number[]>;
  /**
   * Stops everything of it, again and again until a look finds nothing that runs; resolves then, at the latest after
   * some seconds, with what still does. It stays stopped until `thaw` or `kill`, also when the agent dies: call it again
   * after `adopt` so that it is watched again. Costs next to nothing when it is stopped. How a main process ended that was killed
   * meanwhile may be known only after `thaw`.
   */
  freeze(home: string): Promise<Frozen>;
  /**
   * Lets it go on, but for what the job itself had stopped. Harmless when it is not frozen. Done when the call returns: a
   * freeze that is asked for after it finds it going on.
   */
  thaw(home: string): Promise<void>;
  /** Whether it was frozen, by this agent or by the one before it, and not thawed since. */
  isFrozen(home: string): Promise<boolean>;
  /**
   * Gives it less than it would take; undefined: as it was. Answers which parts hold now, and after undefined which stay: an
   * ordinary user may not make a process less nice. Holds also for what it starts later, and over the agent's end.
   */
  throttle(home: string, throttle: Throttle | undefined): Promise<ThrottleFacts>;
  /**
   * Tells once when a running tree has come to a limit: at once where the kernel has an event for it, else within
   * seconds. Close it when the tree has ended.
   */
  watchLimits(home: string, limits: ProcessLimits, tell: (limit: LimitName) => void): { close(): void };
  close(): Promise<void>;
}

/** A job as an agent gets it: everything resolved but the files' content. */
export interface JobOrder {
  readonly id: AttemptId;
  readonly spec: BatchSpec;
  /** Number of the job in the spec. */
  readonly specIndex: number;
  readonly index: number;
  readonly attempt: number;
  readonly namespace: string;
  readonly batch: string;
  readonly jobName: string;
  readonly params: Params;
  /** Granted cores. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly limits: ProcessLimits;
}

/** Input files by their content (`uplink/blob-cache.ts`). */
export interface BlobCache {
  /**
   * Resolves with the path of the verified content, fetched first if needed, for as long as it takes. Read-only; pinned
   * until `release`. Rejects with `Fault` "disk-full" when it does not fit, with the head's refusal when it has no such
   * content, or with the signal's reason.
   */
  obtain(
    namespace: string,
    hash: ContentHash,
    sizeBytes: number | undefined,
    holder: string,
    signal: AbortSignal,
  ): Promise<string>;
  /** Drops the pins of this holder; least recently used content goes when the quota is passed. */
  release(holder: string): void;
  /** Gives up so many bytes of what nobody holds, if there is as much: the disk is short of room. */
  shed(bytes: number): void;
}

/** A build as this machine must make it. */
export interface BuildOrder {
  /** The whole build key on this machine; also its folder's name. */
  readonly key: string;
  readonly spec: BatchSpec;
  readonly namespace: string;
  readonly batch: string;
  /** Cores it may use. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly limits: ProcessLimits;
}

/** A build folder that is there, finished or not. */
export interface BuildFolderFacts {
  readonly key: string;
  /** `buildDigest` of the specs it serves: the part of the key that does not depend on the machine. */
  readonly digest: string;
  readonly finished: boolean;
  /** When a job last used it, or when it was made. */
  readonly usedAtMs: number;
  readonly sizeBytes: number;
}

/** Build folders (`scratch/build-folder.ts`). The core decides when to build and runs the processes; this keeps the folders. */
export interface BuildFolders {
  /** The whole key on this machine with its capabilities as they are now; nothing for a spec without a build. */
  keyOf(spec: BatchSpec): string | undefined;
  /** A finished one (its marker is there); notes that it was used now. */
  find(key: string): Promise<BuildView | undefined>;
  /** The directory that is the build process's own: identity, exit status, log. */
  homeOf(key: string): string;
  /** Removes what an unfinished try left, lays out the inputs at the final path, and says how to start it. */
  prepare(order: BuildOrder, signal: AbortSignal): Promise<ProcessRequest>;
  /** The build succeeded and its processes are gone: makes it read-only, writes and syncs the marker. */
  finish(order: BuildOrder): Promise<BuildView>;
  remove(key: string): Promise<void>;
  list(): Promise<readonly BuildFolderFacts[]>;
}

/** What this machine has (`machine/`), as its probes found it. */
export interface MachineInventory {
  /** Versions by name; empty when a capability has none. */
  readonly capabilities: Readonly<Record<string, string>>;
  /** Physical cores for jobs. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly gpus: number;
  readonly os: string;
  readonly architecture: string;
}

/** A finished build that jobs may be laid over. */
export interface BuildView {
  /** Where it was built and stays, read-only. */
  readonly folder: string;
}

/** Working folders (`scratch/`): laying out, collecting, wiping. */
export interface Workspace {
  /** The attempt's own directory; no link is on the way to it. */
  homeOf(id: AttemptId): string;
  /** The account that jobs run as, where that is not ours. */
  readonly owner: FileOwner | undefined;
  /** Bytes that the files of an archive may claim without taking them on the disk, as the settings have it now. */
  holesMaxBytes(): number;
  /** Lays out a job over its build and says how to start it. Reads inputs through the cache. */
  prepare(order: JobOrder, build: BuildView | undefined, signal: AbortSignal): Promise<ProcessRequest>;
  /** What the attempt keeps, as of now; called when all processes are dead. Throws `Fault` with a code on trouble. */
  collect(order: JobOrder): Promise<Collected>;
  /** Removes the attempt's directory, whatever is in it. */
  wipe(id: AttemptId): Promise<void>;
  /** Attempts that have a directory. */
  list(): Promise<readonly AttemptId[]>;
}

/** A file of the archive, as the final sweep found it. */
export interface CollectedFile {
  /** Relative to the job's folder on the head. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'link';
  /** Where its bytes are now, with no link on the way. */
  readonly source: string;
  /** The account that wrote it, where that is not ours. */
  readonly owner?: FileOwner | undefined;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly hash: ContentHash | undefined;
  readonly linkTarget: string | undefined;
}

/** What the final sweep found. */
export interface Collected {
  readonly files: readonly CollectedFile[];
  /** Of `expect`: missing or empty. */
  readonly missing: readonly string[];
  /** What is not among the files because no archive can hold it: a sentence each. */
  readonly problems: readonly string[];
}
