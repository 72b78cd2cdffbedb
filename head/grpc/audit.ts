import type { AuditEntry, AuditPage, AuditRequest } from '../../proto/gen/labrun/v1/access.ts';
import { viewEvent } from '../event-view.ts';
import type { HeadEngine } from '../ports.ts';
import type { LogRecord } from '../scheduler/event.ts';
import { readSeq, writeActor } from '../wire.ts';

/** What the audit reads. */
export interface AuditPorts {
  readonly engine: HeadEngine;
}

/** What people did, and what was done to who belongs. Machines' own reports are no business of an audit. */
export async function* audit({ engine }: AuditPorts, { since }: AuditRequest): AsyncGenerator<AuditPage> {
  const oldest = await engine.oldest();
  for await (const records of engine.records(Math.max(readSeq(since), oldest, 1))) {
    const concerned = records.filter(isConcern);
    const names = await engine.query(({ nodes, access, batches }) =>
      concerned.map(({ event }) => {
        const { batchId, nodeId } = viewEvent(event);
        const batch = batchId && batches.get(batchId);
        const node = nodeId && (nodes.get(nodeId)?.name ?? access.formerNodes.get(nodeId) ?? nodeId);
        return [batch ? `${batch.namespace}/${batch.name}` : '', node ? `node "${node}"` : '']
          .filter(Boolean)
          .join(', ');
      }),
    );
    const entries = concerned.map((record, at): AuditEntry => {
      const { kind, message } = viewEvent(record.event);
      const about = names[at] ?? '';
      return {
        seq: BigInt(record.seq),
        atMs: BigInt(record.atMs),
        actor: writeActor(record.actor),
        kind,
        message: about === '' ? message : `${message} (${about})`,
      };
    });
    if (entries.length > 0) yield { entries };
  }
}

function isConcern({ actor, event }: LogRecord): boolean {
  return actor.kind === 'user' || viewEvent(event).isPrivate === true;
}
