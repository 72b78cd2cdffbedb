/** How long a silent node's attempts stay its own where its log does not say, in milliseconds: before it was a setting. */
export const leaseMs = 10 * 60_000;
/** How long jobs of a machine that said it goes to sleep stay its own, in milliseconds. */
export const asleepLeaseMs = 12 * 3_600_000;
/** How long a failed build excludes a node for it, in milliseconds. */
export const buildExclusionMs = 24 * 3_600_000;
/** On how many nodes a build must have failed before its batch does, unless fewer could run it. */
export const buildFailuresMax = 3;
/** Builds of a node that are known, ready and failed ones; it is to forget some before it tells of more. */
export const buildsPerNodeMax = 10_000;
/** Most jobs placed in one turn; the next turn goes on. */
export const placementsMax = 512;
/** Jobs that were given far ahead because they were thought to be short, and still wait after so long, are asked back; in milliseconds. */
export const farAheadMaxMs = 4_000;
/** An attempt that fails sooner than this, in milliseconds, may owe that to its machine. */
export const quickFailureMs = 60_000;
/** How many jobs must have failed quickly on a node and succeeded elsewhere before it is quarantined. */
export const refutedMax = 3;
/** A run of quick failures that would come about by chance less often than this quarantines its node. */
export const chanceMax = 1e-6;
/** When a quarantined node is tried with one job, in milliseconds: this after the first time, then twice as long each time. */
export const firstCanaryMs = 60_000;
export const lastCanaryMs = 3_600_000;
/** A canary that has run for this long, in milliseconds, frees its node as one that succeeds. */
export const canaryEnoughMs = 10 * 60_000;
/** Jobs of one batch that are kept from a node each. */
export const exclusionsMax = 10_000;
/** Batches of more jobs than this are held after `firstFailuresMax` failures and no success, unless they say otherwise. */
export const holdAboveJobs = 20;
export const firstFailuresMax = 10;
/** How long a node that gave a job back for lack of something (disk, a capability) takes none, in milliseconds. */
export const restMs = 30_000;
/** For how long, in milliseconds, it is left alone at most with jobs of a batch that it gives back each time. */
export const lastShortageMs = 15 * 60_000;
/**
 * How long a job whose node has lapsed takes only what would idle, in milliseconds: its node may come back with it. From then
 * on it comes before all that waits in queues.
 */
export const lapsedPatienceMs = 3_600_000;
/** How often a job may lose its attempt (a reboot, a killed supervisor) before it fails. */
export const lossesMax = 5;
/** How long after its end a batch keeps its jobs in the head's memory, in milliseconds. */
export const retireAfterMs = 30 * 24 * 3_600_000;
/** Most jobs in one batch, those added later included. */
export const jobsMax = 1_000_000;
/** Most submissions in one batch: the first, and what was added. */
export const partsMax = 10_000;
/** Batches that have not ended, of one user and in all. */
export const openBatchesPerUserMax = 2_000;
export const openBatchesMax = 20_000;
/** Jobs of one user, and of all, that have not ended. */
export const openJobsPerUserMax = 3_000_000;
export const openJobsMax = 10_000_000;
/** Namespaces of one user: each has its own quotas. */
export const namespacesPerUserMax = 100;
/** Join tokens that have not been used up, in a cluster. */
export const tokensMax = 1_000;
/** How often one token may be used at most, and how long it may live, in milliseconds. */
export const tokenUsesMax = 1_000;
export const tokenLifeMaxMs = 30 * 24 * 3_600_000;
/** Users of a cluster. */
export const usersMax = 10_000;
/** Valid certificates of one user or node; the oldest gives way. */
export const certificatesMax = 64;
/** After a restore or an accepted loss: how long known nodes may take to tell what they hold before jobs are given out. */
export const settleMs = 60_000;
/** For how long after that a node that comes back is believed to hold attempts which this log never gave, in milliseconds. */
export const gapMemoryMs = 30 * 24 * 3_600_000;
/** How far above what is known the number of an attempt may be that a node claims to hold, and the highest of all. */
export const foundAheadMax = 1_000;
export const attemptNumberMax = 1_000_000;
