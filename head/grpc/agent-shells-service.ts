import { orThrow } from '../../base/channel/answer.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import type { AgentShellMessage, AgentShellsServer, ShellInput } from '../../proto/gen/labrun/v1/shell.ts';
import { callingNode } from '../wire.ts';
import type { Door } from './door.ts';
import { bidi, type CallFacts } from './handle.ts';
import { checkSize } from './shell-input.ts';
import type { ShellRoom, ShellRooms } from './shell-rooms.ts';

/** The agents' ends of terminals. */
export function agentShellsService(rooms: ShellRooms, door: Door): AgentShellsServer {
  return { attach: bidi(door, 'agent.shell', (messages, facts) => attach(rooms, messages, facts)) };
}

async function* attach(
  rooms: ShellRooms,
  messages: AsyncIterable<AgentShellMessage>,
  { caller, signal }: CallFacts,
): AsyncGenerator<ShellInput> {
  const nodeId = orThrow(callingNode(caller));
  const incoming = messages[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done || first.value.message?.$case !== 'id')
    throw new RefusedError(refused('invalid', 'Cannot attach a terminal: the first message must be its id'));
  const room = orThrow(rooms.enter(first.value.message.value, nodeId));
  const leave = () => room.close();
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  const wrong: { error?: unknown } = {};
  // Not awaited: it goes on until the node says something more, or is gone.
  void forward(incoming, room)
    .catch((error: unknown) => {
      wrong.error = error;
    })
    .finally(leave);
  yield* room.toAgent;
  if (wrong.error !== undefined) throw wrong.error;
}

async function forward(incoming: AsyncIterator<AgentShellMessage>, room: ShellRoom): Promise<void> {
  for (;;) {
    const next = await incoming.next();
    if (next.done) return;
    if (next.value.message?.$case === 'data') checkSize(next.value.message.value);
    if (!(await room.fromAgent.write(next.value))) return;
  }
}
