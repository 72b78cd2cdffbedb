import type { Executor } from '../../node-agent/ports.ts';

/** Of a machine on which nothing runs, and nothing can be started. */
export const idleExecutor: Executor = {
  ...{ tracking: 'session', freezing: 'stop' },
  start: () => Promise.reject(new Error('nothing starts here')),
  adopt: async () => undefined,
  kill: async () => undefined,
  processes: async () => [],
  freeze: async () => ({ processes: 0, tookMs: 0, missed: [] }),
  thaw: async () => undefined,
  isFrozen: async () => false,
  throttle: async () => ({ cores: 'none', weight: 'none', io: 'none', missed: [] }),
  watchLimits: () => ({ close: () => undefined }),
  close: async () => undefined,
};
