import type { Server } from '@grpc/grpc-js';
import { dataCodec } from '../../base/channel/data-codec.ts';
import { AccessService } from '../../proto/gen/labrun/v1/access.ts';
import { AgentLinkService } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveChunk, ArchiveService } from '../../proto/gen/labrun/v1/archive.ts';
import { BatchesService } from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsService } from '../../proto/gen/labrun/v1/blobs.ts';
import { EventsService } from '../../proto/gen/labrun/v1/events.ts';
import { NodesService } from '../../proto/gen/labrun/v1/nodes.ts';
import { AgentShellsService, ShellsService } from '../../proto/gen/labrun/v1/shell.ts';
import { UpkeepService } from '../../proto/gen/labrun/v1/upkeep.ts';
import { type AccessPorts, accessService } from './access-service.ts';
import type { AgentLinkPorts, AgentLinks } from './agent-link-service.ts';
import { agentShellsService } from './agent-shells-service.ts';
import { type ArchivePorts, archiveService } from './archive-service.ts';
import { type BatchesPorts, batchesService } from './batches-service.ts';
import { blobsService } from './blobs-service.ts';
import type { Door } from './door.ts';
import { eventsService } from './events-service.ts';
import { nodesService } from './nodes-service.ts';
import type { ShellRooms } from './shell-rooms.ts';
import { type ShellPorts, shellsService } from './shells-service.ts';
import { readable } from './unreadable.ts';
import { type UpkeepPorts, upkeepService } from './upkeep-service.ts';

/** Everything the services need. */
export type ServicePorts = ArchivePorts &
  BatchesPorts &
  AgentLinkPorts &
  AccessPorts &
  UpkeepPorts &
  Pick<ShellPorts, 'random'>;

const { deserialize } = dataCodec(ArchiveChunk, 5);
/** Files of agents come in without being copied. */
const leanArchive = { ...ArchiveService, put: { ...ArchiveService.put, requestDeserialize: deserialize } };

/** Adds every service to a server, behind one door. */
export function addServices(
  server: Server,
  ports: ServicePorts,
  { links, rooms }: { readonly links: AgentLinks; readonly rooms: ShellRooms },
  door: Door,
): void {
  server.addService(readable(BlobsService), blobsService(ports, door));
  server.addService(readable(leanArchive), archiveService(ports, door));
  server.addService(readable(BatchesService), batchesService(ports, door));
  server.addService(readable(EventsService), eventsService(ports, door));
  server.addService(
    readable(NodesService),
    nodesService({ ...ports, silentMs: (nodeId) => links.silentMs(nodeId) }, door),
  );
  server.addService(readable(AccessService), accessService(ports, door));
  server.addService(readable(UpkeepService), upkeepService(ports, door));
  const tell: ShellPorts['tell'] = (nodeId, order) => links.openShell(nodeId, order);
  server.addService(readable(ShellsService), shellsService({ ...ports, rooms, tell }, door));
  server.addService(readable(AgentShellsService), agentShellsService(rooms, door));
  server.addService(readable(AgentLinkService), links.service(door));
}
