import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A way to the head that comes from another address of the loopback each time it is turned. */
export interface Tunnel {
  readonly port: number;
  /** From now on, connections come from another address. */
  turn(): void;
  close(): void;
}

/** Strangers are slowed down by their address; a fuzzer that has but one would wait most of its time. */
export async function openTunnel(headPort: number): Promise<Tunnel> {
  let turns = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const localAddress = `127.${1 + (turns >> 14)}.${(turns >> 7) & 127}.${1 + (turns & 127)}`;
    const far = connect({ host: '127.0.0.1', port: headPort, localAddress });
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound ? bound.port : 0,
    turn: () => void turns++,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
