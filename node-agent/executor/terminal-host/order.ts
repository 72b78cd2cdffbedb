import type { TerminalRequest } from '../terminal.ts';

/** What an agent gives the process that keeps a terminal; its environment is the program's. */
export interface HostOrder extends Omit<TerminalRequest, 'env'> {
  /** The path of the Unix socket where the agent listens. */
  readonly socket: string;
}
