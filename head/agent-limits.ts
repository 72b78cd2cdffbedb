/** Longest name or version that an agent tells, in characters. */
export const textMax = 256;
/** Longest sentence kept of a report, in characters. */
export const messageMax = 2_000;
/** Longest time that a report looks back or ahead, in milliseconds: ten years. Clocks are wrong at times, logs must not be. */
export const agoMaxMs = 315_360_000_000;
