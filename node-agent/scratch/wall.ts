import type { ProcessRequest } from '../ports.ts';
import { type Isolation, isolate } from './isolate.ts';
import { type Account, runAs } from './run-as.ts';

/** What stands between jobs and the machine, as the agent's settings have it. */
export interface Walls {
  /** The agent's data folder. */
  readonly root: string;
  /** Whom jobs run as; absent: as the agent itself. */
  readonly account: Account | undefined;
  /** Folders of software that isolated jobs see besides the system's. */
  readable(): readonly string[];
}

/** What one process is, for its walls. */
export interface Walled extends Pick<Isolation, 'folders' | 'build' | 'hasGpus' | 'environmentFile'> {
  readonly isStrict: boolean;
}

/** Puts a process behind the walls it gets: first it becomes another user, then it is isolated. */
export function wall(walls: Walls, request: ProcessRequest, { isStrict, ...walled }: Walled): ProcessRequest {
  const { root, account } = walls;
  const inner = isStrict ? isolate(request, { ...walled, root, owner: account, readable: walls.readable() }) : request;
  return account ? runAs(inner, account) : inner;
}
