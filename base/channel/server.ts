import { chmod, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { systemClock } from '../clock.ts';
import { Fault, RefusedError } from '../errors.ts';
import { type Address, formatAddress, plainProblem } from './address.ts';
import { bulkWindowBytes, callsPerConnectionMax, messageMaxBytes, pingEveryMs, pingWaitMs } from './limits.ts';

/** A gRPC server with labrun's limits. Add services, then `listen`. */
export function makeServer(): Server {
  return new Server({
    'grpc.max_receive_message_length': messageMaxBytes,
    'grpc.max_send_message_length': messageMaxBytes,
    'grpc.max_concurrent_streams': callsPerConnectionMax,
    'grpc.keepalive_time_ms': pingEveryMs,
    'grpc.keepalive_timeout_ms': pingWaitMs,
    'grpc-node.flow_control_window': bulkWindowBytes,
  });
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
