import { chmod } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { readAddress } from '../../base/channel/address.ts';
import { deferred } from '../../base/deferred.ts';
import { Fault } from '../../base/errors.ts';

/** Where one terminal's process comes to its agent. */
export interface HostSocket {
  readonly path: string;
  /** Resolves when it has come; rejects when it does not. */
  readonly connected: Promise<Socket>;
  /** What the program in the terminal says, as fast as it is read; ends with it, or when the signal is aborted. */
  said(): AsyncIterable<Buffer>;
  /** It has ended: if it has not come by now, it does not. */
  giveUp(): void;
  close(): void;
}

/** Listens for one process, the first that comes. Rejects with `Fault` when it cannot. */
export async function listenForHost(path: string, signal: AbortSignal): Promise<HostSocket> {
  const address = readAddress(`unix:${path}`);
  if ('code' in address)
    throw new Fault('path', `Cannot open a terminal on this node: the agent's --data has too long a path (${path})`);
  const came = deferred<Socket>();
  came.promise.catch(() => undefined); // whoever waits for it hears of it
  let socket: Socket | undefined;
  const server = createServer((caller) => {
    if (socket) return void caller.destroy();
    socket = caller;
    // How it broke is of no interest: the process tells by its end, and nobody may be left who reads.
    caller.on('error', () => undefined);
    server.close();
    came.resolve(caller);
  });
  const end = () => {
    came.reject(new Fault('over', 'the terminal was closed before it was open'));
    server.close();
    socket?.destroy();
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  signal.addEventListener('abort', end, { once: true });
  return {
    path,
    connected: came.promise,
    async *said() {
      const host = await came.promise;
      try {
        yield* host;
      } catch (error) {
        if (!host.destroyed) throw error; // it was closed, here or there
      }
    },
    giveUp() {
      if (!socket)
        came.reject(new Fault('start-failed', 'Cannot open a terminal on this node: its process ended at once'));
    },
    close() {
      signal.removeEventListener('abort', end);
      end();
    },
  };
}
