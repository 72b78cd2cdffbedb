import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Server } from '@grpc/grpc-js';
import { type Address, formatAddress, readAddress } from '../../base/channel/address.ts';
import { closeServer, listen, makeServer } from '../../base/channel/server.ts';
import { listenTls, type TlsListener } from '../../base/channel/tls-listener.ts';
import type { ClusterId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { advertised } from '../advertised.ts';
import type { OpenAuthority } from '../authority.ts';
import { type AgentLinkPorts, AgentLinks } from './agent-link-service.ts';
import { isValid, localDoor, tlsDoor } from './door.ts';
import { addServices, type ServicePorts } from './services.ts';
import { ShellRooms } from './shell-rooms.ts';

/** Where a head listens. */
export interface ListenOptions {
  readonly dataFolder: string;
  readonly clusterId: ClusterId;
  readonly address: Address;
  /** Listen there in plain text, which is possible on the loopback alone. A Unix socket always is. */
  readonly plain: boolean;
  readonly authority: OpenAuthority;
  readonly log: Log;
}

/** A head's open doors. */
export interface Doors {
  /** Of the one that was asked for; port 0 has become a real one. */
  readonly address: Address;
  close(): Promise<void>;
}

/** What the doors need; where they are is their own to say. */
export type DoorPorts = Omit<ServicePorts, 'advertised'> & Pick<AgentLinkPorts, 'heartbeatMs' | 'leaseMs'>;

/** How long calls in progress may take when the head stops, in milliseconds. */
const closeGraceMs = 500;

/**
 * Opens the head's doors: its own socket in the data folder, for whoever may open that, and the address asked for,
 * behind TLS unless it does not leave the machine. Throws `RefusedError` rather than listen in plain text on a network.
 */
export async function openDoors(given: DoorPorts, options: ListenOptions): Promise<Doors> {
  // Services are made before the port is known, and called after.
  let opened = options.address;
  const ports: ServicePorts = { ...given, advertised: () => advertised(opened, hostname()) };
  const meeting = { links: new AgentLinks(ports), rooms: new ShellRooms() };
  const local = makeServer();
  addServices(local, ports, meeting, localDoor(ports));
  try {
    const socket = ownSocket(options);
    if (socket) await listen(local, socket);
    const doors =
      options.address.kind === 'tcp' && !options.plain
        ? await openNetwork(ports, options, options.address, meeting, local)
        : { address: await listen(local, options.address), close: () => closeServer(local, closeGraceMs) };
    opened = doors.address;
    return doors;
  } catch (error) {
    local.forceShutdown();
    throw error;
  }
}

async function openNetwork(
  ports: ServicePorts,
  { authority, clusterId, log }: ListenOptions,
  address: Extract<Address, { kind: 'tcp' }>,
  meeting: Parameters<typeof addServices>[2],
  local: Server,
): Promise<Doors> {
  const server = makeServer();
  let listener: TlsListener | undefined;
  addServices(
    server,
    ports,
    meeting,
    tlsDoor(ports, clusterId, (peer) => listener?.peerOf(peer)),
  );
  const identity = await authority.serve((renewed) => listener?.renew(renewed));
  const opened = await listenTls(server, address, identity, ports.clock);
  listener = opened;
  log.info({ address: formatAddress(opened.address) }, 'listening with TLS');
  const unsubscribe = ports.engine.subscribe((records, { access }) => {
    // Removed users and nodes are cut off where they stand.
    if (records.some(({ event }) => event.kind === 'user-removed' || event.kind === 'node-removed'))
      opened.cut(({ certificate }) => certificate !== undefined && !isValid(access, certificate));
  });
  return {
    address: opened.address,
    async close() {
      unsubscribe();
      await Promise.all([closeServer(local, closeGraceMs), closeServer(server, closeGraceMs)]);
      await opened.close();
    },
  };
}

/** The socket of the data folder; nothing where another is asked for, or its path is too long for the kernel. */
function ownSocket({ dataFolder, address, log }: ListenOptions): Address | undefined {
  const path = join(dataFolder, 'head.sock');
  if (address.kind === 'unix' && address.path === path) return undefined;
  const socket = readAddress(`unix:${path}`);
  if (socket.kind !== 'refused') return socket;
  log.warn({ path }, `no socket for admins on this machine: ${socket.message}`);
  return undefined;
}
