import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Stands between an agent and the head, and can keep bulk data on its way for as long as a test needs. */
export interface ValveProxy {
  /** For `--head`. */
  readonly address: string;
  /** Bytes of the connection that is held now; 0 when none is. */
  readonly heldBytes: () => number;
  /** Lets everything flow that is held, and whatever comes. */
  open(): void;
  /** From now on a connection that carries more than `bytesMax` in one direction stands still. */
  close(): void;
}

/** Heartbeats and reports never carry so much. */
const bytesMax = 2 ** 20;

/** Listens on the socket `path` and passes on to the socket `target` until the test has finished; closed at first. */
export async function valveProxy(path: string, target: string): Promise<ValveProxy> {
  const open = new Set<Socket>();
  const held = new Map<Socket, number>();
  let isOpen = false;
  const pass = (from: Socket, to: Socket) => {
    let bytes = 0;
    from.on('data', (data: Buffer) => {
      bytes += data.length;
      to.write(data);
      if (isOpen || bytes <= bytesMax) return;
      from.pause();
      held.set(from, bytes);
    });
    from.on('end', () => to.end());
    // A connection that breaks on one side breaks on the other: that is all there is to say.
    from.on('error', () => to.destroy());
    from.on('close', () => {
      open.delete(from);
      held.delete(from);
      to.destroy();
    });
    open.add(from);
  };
  const server = createServer((agent) => {
    const head = connect(target);
    pass(agent, head);
    pass(head, agent);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return {
    address: `unix:${path}`,
    heldBytes: () => Math.max(0, ...held.values()),
    open() {
      isOpen = true;
      for (const socket of held.keys()) socket.resume();
      held.clear();
    },
    close() {
      isOpen = false;
    },
  };
}
