import type { Server } from '@grpc/grpc-js';
import { AgentLinkService } from '../../proto/gen/labrun/v1/agent_link.ts';
import { ArchiveService } from '../../proto/gen/labrun/v1/archive.ts';
import { BatchesService } from '../../proto/gen/labrun/v1/batches.ts';
import { BlobsService } from '../../proto/gen/labrun/v1/blobs.ts';
import { EventsService } from '../../proto/gen/labrun/v1/events.ts';
import { NodesService } from '../../proto/gen/labrun/v1/nodes.ts';
import { type AgentLinkPorts, AgentLinks } from './agent-link-service.ts';
import { type ArchivePorts, archiveService } from './archive-service.ts';
import { type BatchesPorts, batchesService } from './batches-service.ts';
import { blobsService } from './blobs-service.ts';
import { eventsService } from './events-service.ts';
import { nodesService } from './nodes-service.ts';

/** Everything the doors need. */
export type DoorPorts = ArchivePorts & BatchesPorts & AgentLinkPorts;

/** Adds every service to a server. */
export function addServices(server: Server, ports: DoorPorts): void {
  server.addService(BlobsService, blobsService(ports.blobs, ports.log));
  server.addService(ArchiveService, archiveService(ports));
  server.addService(BatchesService, batchesService(ports));
  server.addService(EventsService, eventsService(ports));
  server.addService(NodesService, nodesService(ports));
  server.addService(AgentLinkService, new AgentLinks(ports).service());
}
