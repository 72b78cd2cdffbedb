import { connect } from 'node:net';
import { systemClock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import { openTerminal } from '../terminal.ts';
import { wordsOf } from './frames.ts';
import type { HostOrder } from './order.ts';

// The process that keeps one terminal, and ends with what runs in it, or with its agent. Its one argument is what to
// run and the socket where the agent listens; the environment is handed on as it is.

const order = JSON.parse(process.argv[2] ?? '') as HostOrder; // written by the agent of this very release
const socket = connect(order.socket);
// The agent has gone: closing the terminal hangs up on what runs in it, and the agent's next start ends what is left.
socket.once('error', () => process.exit(1));
socket.once('close', () => process.exit(1));
try {
  const env = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? '']));
  const terminal = await openTerminal({ ...order, env }, systemClock, (data) => {
    if (!socket.write(data)) terminal.pause();
  });
  socket.on('drain', () => terminal.resume());
  const typing = async () => {
    for await (const word of wordsOf(socket)) {
      if (word.kind === 'data') await terminal.type(word.data);
      else terminal.resize(word.size);
    }
  };
  typing().catch(() => process.exit(1));
  const code = await terminal.ended;
  socket.end(() => process.exit(code));
} catch (error) {
  socket.end(`Cannot start "${order.argv[0]}" in a terminal: ${messageOf(error)}\r\n`, () => process.exit(126));
}
