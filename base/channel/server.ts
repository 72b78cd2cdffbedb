import { chmod, rm } from 'node:fs/promises';
import type { Http2Server, Settings } from 'node:http2';
import { connect } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { systemClock } from '../clock.ts';
import { Fault, RefusedError } from '../errors.ts';
import { type Address, formatAddress, plainProblem } from './address.ts';
import { callsPerConnectionMax, messageMaxBytes, pingEveryMs, pingWaitMs, serverWindowBytes } from './limits.ts';

/** A gRPC server with labrun's limits. Add services, then `listen`. */
export function makeServer(): Server {
  const server = new Server({
    'grpc.max_receive_message_length': messageMaxBytes,
    'grpc.max_send_message_length': messageMaxBytes,
    'grpc.max_concurrent_streams': callsPerConnectionMax,
    'grpc.keepalive_time_ms': pingEveryMs,
    'grpc.keepalive_timeout_ms': pingWaitMs,
  });
  widenWindows(server);
  return server;
}

/**
 * Starts listening in plain text and answers where: port 0 has become a real one. A Unix socket left behind by a process that is
 * gone is replaced; one that still answers is not.
 */
export async function listen(server: Server, address: Address): Promise<Address> {
  const problem = plainProblem(address);
  if (problem) throw new RefusedError(problem);
  if (address.kind === 'unix') await clearSocket(address.path);
  const port = await bind(server, address);
  if (address.kind === 'tcp') return { ...address, port };
  await chmod(address.path, 0o600);
  return address;
}

/** Ends a server: running calls get a moment to finish, then they are cut. */
export async function closeServer(server: Server, graceMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = systemClock.setTimer(graceMs, () => server.forceShutdown());
    server.tryShutdown(() => {
      timer.cancel();
      resolve();
    });
  });
}

function bind(server: Server, address: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(formatAddress(address), ServerCredentials.createInsecure(), (error, port) => {
      if (error)
        reject(new Fault('listen', `Cannot listen on ${formatAddress(address)}: ${error.message}`, { cause: error }));
      else resolve(port);
    });
  });
}

async function clearSocket(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (answers) throw new Fault('listen', `Cannot listen on unix:${path}: another process is listening there`);
  await rm(path, { force: true });
}

/**
 * Lets every connection receive `serverWindowBytes` ahead, of one call and of all together. grpc-js does this for clients alone, and a server's
 * 64 KiB make a sender wait for each flight. What it keeps to itself is reached for here; `windows.test.ts` holds that it still works.
 */
function widenWindows(server: Server): void {
  const inner = server as unknown as Inner; // its private members, as of 1.14
  inner.commonServerOptions.settings = { ...inner.commonServerOptions.settings, initialWindowSize: serverWindowBytes };
  const create = inner.createHttp2Server;
  inner.createHttp2Server = (credentials) => {
    const http2 = create.call(inner, credentials);
    http2.on('session', (session) => session.setLocalWindowSize(serverWindowBytes));
    return http2;
  };
}

interface Inner {
  readonly commonServerOptions: { settings?: Settings };
  createHttp2Server(credentials: ServerCredentials): Http2Server;
}
