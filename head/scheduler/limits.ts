/** How long a silent node's attempts stay its own, in milliseconds. */
export const leaseMs = 10 * 60_000;
/** How long a failed build excludes a node for it, in milliseconds. */
export const buildExclusionMs = 24 * 3_600_000;
/** On how many nodes a build must have failed before its batch does, unless fewer could run it. */
export const buildFailuresMax = 3;
/** Most jobs placed in one turn; the next turn goes on. */
export const placementsMax = 512;
/** How long a node that gave a job back for lack of something (disk, a capability) takes none, in milliseconds. */
export const restMs = 30_000;
/** How often a job whose attempt is lost (a reboot, a killed supervisor) starts again before it fails. */
export const lostMax = 5;
