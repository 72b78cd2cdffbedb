import type { Clock } from '../../base/clock.ts';
import { deferred } from '../../base/deferred.ts';
import { type Refusal, refused } from '../../base/errors.ts';
import type { NodeId } from '../../base/ids.ts';
import { Pipe } from '../../base/pipe.ts';
import type { AgentShellMessage, ShellInput } from '../../proto/gen/labrun/v1/shell.ts';

/** Messages each way that wait for their reader; each has at most 64 KiB. */
const waitingMax = 8;
/** How long a node may take to bring its end, in milliseconds. */
const attachMs = 20_000;
/** Terminals of one node, open at once. */
export const shellsPerNodeMax = 64;

/** Where both ends of one terminal meet: bytes go through as fast as the slower end reads. */
export class ShellRoom {
  readonly id: string;
  readonly nodeId: NodeId;
  readonly toAgent = new Pipe<ShellInput>(waitingMax);
  readonly fromAgent = new Pipe<AgentShellMessage>(waitingMax);
  readonly #came = deferred<boolean>();
  #isTaken = false;

  constructor(id: string, nodeId: NodeId) {
    this.id = id;
    this.nodeId = nodeId;
  }

  /** The node's end is here; false: it was before. */
  enter(): boolean {
    if (this.#isTaken) return false;
    this.#isTaken = true;
    this.#came.resolve(true);
    return true;
  }

  /** Resolves with whether the node's end has come in time. */
  async attached(clock: Clock): Promise<boolean> {
    const timer = clock.setTimer(attachMs, () => this.#came.resolve(false));
    try {
      return await this.#came.promise;
    } finally {
      timer.cancel();
    }
  }

  /** Either end has gone: so does the other. */
  close(): void {
    this.#came.resolve(false);
    this.toAgent.close();
    this.fromAgent.close();
  }
}

/** Every terminal that is open, or waits for its node. */
export class ShellRooms {
  readonly #rooms = new Map<string, ShellRoom>();

  /** A room for this id, which is new. */
  open(id: string, nodeId: NodeId): ShellRoom | Refusal {
    const there = [...this.#rooms.values()].filter((room) => room.nodeId === nodeId).length;
    if (there >= shellsPerNodeMax) {
      const most = `Cannot open a terminal: ${there} are open on that node (at most ${shellsPerNodeMax})`;
      return refused('busy', `${most}; close some`);
    }
    const room = new ShellRoom(id, nodeId);
    this.#rooms.set(id, room);
    return room;
  }

  /** The room that waits for this node's end. */
  enter(id: string, nodeId: NodeId): ShellRoom | Refusal {
    const room = this.#rooms.get(id);
    if (room?.nodeId !== nodeId || !room.enter())
      return refused('stale', 'Cannot attach to this terminal: nobody waits for it any more');
    return room;
  }

  close(room: ShellRoom): void {
    this.#rooms.delete(room.id);
    room.close();
  }
}
