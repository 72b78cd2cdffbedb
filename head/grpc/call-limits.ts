import type { CallLimits } from '../../base/channel/crowd.ts';

/** Calls that the head has under way at once. The table of docs/limits.md says the same. */
export const callLimits: CallLimits = {
  unary: { perCaller: 512, inAll: 8_192 },
  upload: { perCaller: 256, inAll: 2_048 },
  stream: { perCaller: 256, inAll: 4_096 },
};
