import { orThrow } from '../../base/channel/answer.ts';
import { messageOf, RefusedError, refused } from '../../base/errors.ts';
import { type ClusterId, type NodeId, ulid } from '../../base/ids.ts';
import type { Random } from '../../base/random.ts';
import type {
  OpenShell,
  ShellEnd,
  ShellInput,
  ShellOutput,
  ShellStart,
  ShellsServer,
} from '../../proto/gen/labrun/v1/shell.ts';
import { actorOf } from '../wire.ts';
import type { Door } from './door.ts';
import type { FindPorts } from './find-jobs.ts';
import { bidi, type CallFacts } from './handle.ts';
import { checkArgv, checkSize, readTerm, readWindow } from './shell-input.ts';
import { placeInJob, placeOnNode, type ShellPlace } from './shell-place.ts';
import type { ShellRoom, ShellRooms } from './shell-rooms.ts';

/** What terminals need. */
export interface ShellPorts extends FindPorts {
  readonly clusterId: ClusterId;
  readonly random: Random;
  readonly rooms: ShellRooms;
  /** Tells a connected node; false: it is not connected. */
  tell(nodeId: NodeId, order: OpenShell): boolean;
}

/** Terminals for people. */
export function shellsService(ports: ShellPorts, door: Door): ShellsServer {
  return {
    inJob: bidi(door, 'job.shell', async function* (inputs, facts) {
      const { start, rest } = await begin(inputs);
      if (start.where?.$case !== 'job') throw wrongStart('of a job');
      const place = await placeInJob(ports, start.where.value, facts, whatOf(start));
      yield* serve(ports, door, { place, start, rest }, facts);
    }),
    onNode: bidi(door, 'node.shell', async function* (inputs, facts) {
      const { start, rest } = await begin(inputs);
      if (start.where?.$case !== 'node') throw wrongStart('of a node');
      const place = await placeOnNode(ports.engine, start.where.value, whatOf(start));
      yield* serve(ports, door, { place, start, rest }, facts);
    }),
  };
}

interface Wish {
  readonly place: ShellPlace;
  readonly start: ShellStart;
  /** What is typed, and how the window changes. */
  readonly rest: AsyncIterator<ShellInput>;
}

async function begin(inputs: AsyncIterable<ShellInput>) {
  const rest = inputs[Symbol.asyncIterator]();
  const first = await rest.next();
  if (first.done || first.value.input?.$case !== 'start') throw wrongStart('of a terminal');
  checkArgv(first.value.input.value.argv);
  return { start: first.value.input.value, rest };
}

function whatOf({ argv }: ShellStart): 'shell' | 'command' {
  return argv.length > 0 ? 'command' : 'shell';
}

function wrongStart(what: string): RefusedError {
  return new RefusedError(refused('invalid', `Cannot open a terminal: the first message must be the start ${what}`));
}

/** One terminal, from the word to its node to its end. Who has it, and until when, is in the log. */
async function* serve(
  ports: ShellPorts,
  door: Door,
  { place, start, rest }: Wish,
  { caller, signal }: CallFacts,
): AsyncGenerator<ShellOutput> {
  const { engine, rooms, random, clusterId } = ports;
  const { nodeId, inPlaceOf } = place;
  const shellId = ulid(door.clock.nowMs(), random.bytes(10));
  const note = (ended?: { readonly message: string }) =>
    engine.submit(actorOf(caller), { kind: 'note-shell', shellId, nodeId, inPlaceOf, ended });
  const room = orThrow(rooms.open(shellId, nodeId));
  const leave = () => room.close();
  signal.addEventListener('abort', leave, { once: true });
  let message = 'whoever had it has gone';
  let isNoted = false;
  try {
    orThrow(await note());
    isNoted = true;
    const attempt = inPlaceOf && { clusterId, ...inPlaceOf };
    const window = { size: readWindow(start.size), term: readTerm(start.term) };
    const order = { id: shellId, attempt, ...window, user: caller.name, argv: start.argv };
    if (signal.aborted || !ports.tell(nodeId, order)) room.close();
    if (!(await room.attached(door.clock))) throw silent(place);
    const typed: { hasEnded?: boolean; error?: unknown } = {};
    // Not awaited: it goes on until they say something more, or are gone.
    void forward(rest, room)
      .then((hasEnded) => {
        typed.hasEnded = hasEnded;
      })
      .catch((error: unknown) => {
        typed.error = error;
      })
      .finally(leave);
    for await (const output of outputs(room, place, start.argv.length > 0)) {
      if (output.output?.$case === 'ended') message = endText(output.output.value);
      yield output;
      if (output.output?.$case === 'ended') return;
    }
    if (signal.aborted) return;
    if (typed.error !== undefined) throw typed.error;
    if (!typed.hasEnded) message = `the connection to "${place.nodeName}" was lost`;
    yield { output: { $case: 'ended', value: { exitCode: undefined, message } } };
  } catch (error) {
    message = messageOf(error);
    throw error;
  } finally {
    signal.removeEventListener('abort', leave);
    rooms.close(room);
    if (isNoted) await note({ message: message.slice(0, messageMax) });
  }
}

/** Longest sentence kept of how a terminal ended, in characters. */
const messageMax = 300;

/** What the node says, as a person gets it. */
async function* outputs(
  room: ShellRoom,
  { nodeName: node, job }: ShellPlace,
  runsArgv: boolean,
): AsyncGenerator<ShellOutput> {
  for await (const { message } of room.fromAgent) {
    if (message?.$case === 'started') yield { output: { $case: 'opened', value: { node, job, runsArgv } } };
    else if (message?.$case === 'data') yield { output: { $case: 'data', value: message.value } };
    else if (message?.$case === 'ended') yield { output: { $case: 'ended', value: message.value } };
    else if (message?.$case === 'forbidden') {
      const why = message.value.slice(0, messageMax);
      throw new RefusedError(refused('denied', `Cannot open a terminal on "${node}": ${why}`));
    }
  }
}

/** Answers whether whoever types has gone; else the node's end has. */
async function forward(typed: AsyncIterator<ShellInput>, room: ShellRoom): Promise<boolean> {
  for (;;) {
    const next = await typed.next();
    if (next.done) return true;
    const { input } = next.value;
    if (input?.$case === 'data') checkSize(input.value);
    const isTaken =
      input?.$case === 'size'
        ? await room.toAgent.write({ input: { $case: 'size', value: readWindow(input.value) } })
        : input?.$case !== 'data' || (await room.toAgent.write(next.value));
    if (!isTaken) return false;
  }
}

function silent({ nodeName }: ShellPlace): RefusedError {
  const why = 'it is not connected, or does not answer; "labrun nodes" shows when it was heard last';
  return new RefusedError(refused('not-yet', `Cannot open a terminal on "${nodeName}": ${why}`));
}

function endText({ exitCode, message }: ShellEnd): string {
  return message || (exitCode === undefined ? 'it has ended' : `it ended with ${exitCode}`);
}
