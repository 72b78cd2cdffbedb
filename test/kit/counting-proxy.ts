import { connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Stands between an agent and the head, and counts what the head sends. */
export interface CountingProxy {
  /** For `--head`. */
  readonly address: string;
  /** Bytes that have come from the head so far, over all connections. */
  readonly bytesFromHead: () => number;
}

/** Listens on the socket `path` and passes everything on to the socket `target` until the test has finished. */
export async function countingProxy(path: string, target: string): Promise<CountingProxy> {
  let bytes = 0;
  const open = new Set<Socket>();
  const server = createServer((agent) => {
    const head = connect(target);
    for (const socket of [agent, head]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    head.on('data', (data: Buffer) => {
      bytes += data.length;
    });
    // A connection that breaks on one side breaks on the other: that is all there is to say.
    agent.on('error', () => head.destroy());
    head.on('error', () => agent.destroy());
    agent.pipe(head);
    head.pipe(agent);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { address: `unix:${path}`, bytesFromHead: () => bytes };
}
