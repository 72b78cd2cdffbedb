/** Between SIGTERM and SIGKILL for what a job leaves running behind it, in milliseconds. */
export const leftoverGraceMs = 2_000;
/** A job must have run this long before its log and files are watched, in milliseconds: short ones pay nothing. */
export const watchAfterMs = 500;
/** Largest archive, with manifest and log, that travels inside the report of the end, in bytes. */
export const inlineMaxBytes = 4_096;
