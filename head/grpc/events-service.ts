import { orThrow } from '../../base/channel/answer.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import type { EventPage, EventsServer, EventView, SubscribeRequest } from '../../proto/gen/labrun/v1/events.ts';
import { readableBy, type Who } from '../access.ts';
import type { Changes } from '../changes.ts';
import { viewEvent } from '../event-view.ts';
import type { LogRecord } from '../scheduler/event.ts';
import { knownBatch } from '../scheduler/retired.ts';
import { nameMatcher, readSelection } from '../select.ts';
import type { NamedJob, SpecPlace } from '../specs.ts';
import { readSeq, writeActor } from '../wire.ts';
import type { Door } from './door.ts';
import { type FindPorts, findBatch } from './find-jobs.ts';
import { type CallFacts, serverStream } from './handle.ts';

/** What the events' door needs. */
export interface EventsPorts extends FindPorts {
  readonly changes: Changes;
}

/** Events in one message. */
export const pageMax = 200;

/** Which events a subscriber wants. */
interface Wanted {
  readonly batchId: BatchId | undefined;
  readonly namespace: string;
  readonly job: (name: string) => boolean;
  readonly anyJob: boolean;
  readonly who: Who;
}

/** The cluster's story, from any point on. */
export function eventsService(ports: EventsPorts, door: Door): EventsServer {
  return {
    subscribe: serverStream(door, 'cluster.read', (request, facts) => subscribe(ports, request, facts)),
  };
}

/**
 * Replay and live are one thing: the log is read from where the subscriber stands, and again when something has been
 * added. Nothing is missed or told twice between the two, and a slow reader costs no memory.
 */
async function* subscribe(ports: EventsPorts, request: SubscribeRequest, call: CallFacts): AsyncGenerator<EventPage> {
  const { signal } = call;
  const wanted = await readWanted(ports, request, call);
  const oldest = await ports.engine.oldest();
  const since = readSeq(request.since);
  if (since > 0 && since < oldest) {
    throw new RefusedError(refused('limit', `Cannot tell events from ${since} on: the oldest kept is ${oldest}`));
  }
  const bell = ports.changes.anything();
  let next = Math.max(since, oldest, 1);
  try {
    while (!signal.aborted) {
      for await (const records of ports.engine.records(next)) {
        for (let at = 0; at < records.length && !signal.aborted; at += pageMax) {
          const events = await viewPage(ports, records.slice(at, at + pageMax), wanted);
          if (events.length > 0) yield { events };
        }
        next = (records.at(-1)?.seq ?? next - 1) + 1;
        if (signal.aborted) return;
      }
      if (!request.follow) return;
      await bell.next(signal);
    }
  } finally {
    bell.close();
  }
}

async function readWanted(ports: EventsPorts, { selector }: SubscribeRequest, call: CallFacts): Promise<Wanted> {
  const { who } = call.pass;
  // Also where no batch is named: a glob without limits would hold the head up.
  orThrow(readSelection(selector, ''));
  const job = nameMatcher(selector?.job ?? '');
  const anyJob = (selector?.job ?? '') === '';
  const namespace = selector?.namespace ?? '';
  if (!selector || selector.batch === '') return { batchId: undefined, namespace, job, anyJob, who };
  const { batchId } = await findBatch(ports, selector, call);
  return { batchId, namespace: '', job, anyJob, who };
}

/** What the records of a page speak of, by name. */
interface Names {
  readonly namespace: string;
  readonly name: string;
  readonly naming: (at: SpecPlace) => NamedJob;
  readonly places: ReadonlyMap<number, SpecPlace>;
}

async function viewPage(ports: EventsPorts, records: readonly LogRecord[], wanted: Wanted): Promise<EventView[]> {
  const seen = records.map((record) => ({ record, view: viewEvent(record.event) }));
  const relevant = wanted.batchId ? seen.filter(({ view }) => view.batchId === wanted.batchId) : seen;
  const batches = await namesOf(ports, relevant);
  const { nodes, hidden } = await ports.engine.query((state) => {
    const mayRead = readableBy(state.access, wanted.who);
    const names = [...state.nodes.values()].map(({ id, name }) => [id, name] as const);
    const closed = [...new Set([...batches.values()].map(({ namespace }) => namespace))].filter(
      (name) => !mayRead(name),
    );
    return { nodes: new Map([...state.access.formerNodes, ...names]), hidden: new Set(closed) };
  });
  const isAdmin = wanted.who.kind === 'user' && wanted.who.admin;
  const events: EventView[] = [];
  for (const { record, view } of relevant) {
    const batch = view.batchId && batches.get(view.batchId);
    const place = view.attempt && batch?.places.get(view.attempt.index);
    const job = place ? (batch?.naming(place).name ?? '') : '';
    if (!wanted.anyJob && (job === '' || !wanted.job(job))) continue;
    if (wanted.namespace !== '' && batch?.namespace !== wanted.namespace) continue;
    if ((batch && hidden.has(batch.namespace)) || (view.isPrivate && !isAdmin)) continue;
    const actorNode = record.actor.kind === 'node' ? record.actor.name : '';
    events.push({
      seq: BigInt(record.seq),
      atMs: BigInt(record.atMs),
      kind: view.kind,
      actor: writeActor(record.actor),
      namespace: batch?.namespace ?? '',
      batch: batch?.name ?? '',
      job,
      attempt: view.attempt?.attempt ?? 0,
      node: view.nodeId ? (nodes.get(view.nodeId) ?? view.nodeId) : actorNode,
      message: view.message,
      facts: { ...view.facts },
    });
  }
  return events;
}

async function namesOf(
  ports: EventsPorts,
  seen: readonly { readonly view: ReturnType<typeof viewEvent> }[],
): Promise<ReadonlyMap<BatchId, Names>> {
  const indices = new Map<BatchId, number[]>();
  for (const { view } of seen) {
    if (!view.batchId) continue;
    const own = indices.get(view.batchId) ?? [];
    indices.set(view.batchId, own);
    if (view.attempt) own.push(view.attempt.index);
  }
  const found = await ports.engine.query((state) =>
    [...indices].flatMap(([batchId, jobs]) => {
      const batch = knownBatch(state, batchId);
      if (!batch) return [];
      const { namespace, name } = batch;
      // The names of its jobs are in its archive alone, and what is still told of them is about to be dropped.
      if (!('rows' in batch)) return [{ batchId, namespace, name, places: new Map<number, SpecPlace>(), parts: [] }];
      const { rows } = batch;
      const places = new Map(
        jobs.map((index) => [index, { part: rows.part[index] ?? 0, specIndex: rows.specIndex[index] ?? 0 }]),
      );
      return [{ batchId, namespace, name, places, parts: batch.parts.map(({ specHash }) => ({ specHash })) }];
    }),
  );
  const names = new Map<BatchId, Names>();
  for (const { batchId, namespace, name, places, parts } of found) {
    const naming = places.size > 0 ? await ports.specs.naming(parts) : () => ({ name: '', params: {} });
    names.set(batchId, { namespace, name, naming, places });
  }
  return names;
}
