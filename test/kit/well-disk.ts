import type { OwnDisk } from '../../node-agent/ports.ts';

/** A disk that always has room. */
export const wellDisk: OwnDisk = {
  trouble: '',
  troubledLately: false,
  onWell: () => undefined,
  onShort: () => undefined,
  onStuck: () => () => undefined,
};
