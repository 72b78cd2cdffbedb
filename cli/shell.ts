import type { ClientDuplexStream } from '@grpc/grpc-js';
import { readStream, writeTo } from '../base/channel/streams.ts';
import { Fault, RefusedError, refused } from '../base/errors.ts';
import type { ShellEnd, ShellInput, ShellOpened, ShellOutput } from '../proto/gen/labrun/v1/shell.ts';
import { chooseSelector, type Head, type HeadOptions, withHead } from './connect.ts';
import { exitCodes, usageError } from './exit.ts';
import { LineEscape } from './line-escape.ts';
import type { Printer } from './print.ts';
import { hasTerminal, plainOutput, type RawTerminal, takeTerminal, terminalSize } from './raw-terminal.ts';
import { readSelector, type SelectorOptions } from './selector.ts';

type Stream = ClientDuplexStream<ShellInput, ShellOutput>;

/** The window of a command where nobody sits. */
const noWindow = { columns: 80, rows: 24 };

/** A shell where a job runs, or on a node, in this terminal, or a command there; answers its own exit status. */
export async function shell(
  words: readonly string[],
  options: HeadOptions & SelectorOptions & { readonly node?: string },
  print: Printer,
): Promise<number> {
  // With a node there is no job to name: all of it is the command.
  const [text, argv] = options.node === undefined ? [words[0], words.slice(1)] : [undefined, [...words]];
  if (text === undefined && options.node === undefined)
    throw usageError('Cannot open a shell: name one job, or a node with --node');
  const size = argv.length > 0 && !hasTerminal() ? noWindow : terminalSize();
  return await withHead(options, async (head) => {
    const left = new AbortController();
    const { stream, where } = await open(head, text, options);
    const outputs = readStream<ShellOutput>(stream, left.signal);
    const term = process.env['TERM'] ?? '';
    await writeTo(stream, { input: { $case: 'start', value: { where, size, term, argv } } });
    if (argv.length === 0) return await converse(stream, outputs, left, print);
    return await converse(stream, onlyOfCommands(outputs), left, undefined);
  });
}

async function open(head: Head, text: string | undefined, options: SelectorOptions & { readonly node?: string }) {
  if (options.node !== undefined)
    return { stream: head.shells.onNode(head.metadata), where: { $case: 'node' as const, value: options.node } };
  const job = await chooseSelector(head, readSelector(text, options));
  return { stream: head.shells.inJob(head.metadata), where: { $case: 'job' as const, value: job } };
}

/** Nobody would end a shell in a script; a head of an earlier release opens one. Throws `RefusedError`. */
async function* onlyOfCommands(outputs: AsyncIterable<ShellOutput>): AsyncGenerator<ShellOutput> {
  for await (const one of outputs) {
    if (one.output?.$case === 'opened' && !one.output.value.runsArgv)
      throw new RefusedError(
        refused(
          'unsupported',
          'Cannot run a command in a terminal: this head opens shells alone; bring it to this release',
        ),
      );
    yield one;
  }
}

/** Until the shell ends, or whoever sits here leaves it; the terminal is as before then. A shell is greeted, a command not. */
async function converse(
  stream: Stream,
  outputs: AsyncIterable<ShellOutput>,
  left: AbortController,
  print: Printer | undefined,
): Promise<number> {
  let terminal: RawTerminal | undefined;
  let end: ShellEnd | undefined;
  try {
    for await (const { output } of outputs) {
      if (output?.$case === 'opened') {
        print?.note(greeting(output.value));
        terminal = hasTerminal() ? take(stream, left) : plainOutput();
      } else if (output?.$case === 'data') await terminal?.show(output.value);
      else if (output?.$case === 'ended') end = output.value;
    }
  } catch (error) {
    if (!left.signal.aborted) throw terminal && isCutOff(error) ? cutOff : error;
  } finally {
    // Only what ended by itself had the time to leave the terminal as it was.
    terminal?.close(end?.exitCode === undefined);
  }
  if (left.signal.aborted) {
    print?.note('\nLeft; the shell is being ended');
    return exitCodes.done;
  }
  if (end?.exitCode !== undefined) return end.exitCode;
  throw new Fault('shell-ended', `The shell has ended: ${end?.message || 'the head closed the connection'}`);
}

/** A head that stops cancels what it has begun. */
function isCutOff(error: unknown): boolean {
  return error instanceof Fault && (error.code === 'UNAVAILABLE' || error.code === 'CANCELLED');
}

const cutOff = new Fault('UNAVAILABLE', 'the shell has ended with the connection');

function take(stream: Stream, left: AbortController): RawTerminal {
  const lineEscape = new LineEscape();
  return takeTerminal(
    async (keys) => {
      const { send, leaves } = lineEscape.take(keys);
      if (send.length > 0) await writeTo(stream, { input: { $case: 'data', value: send } });
      if (leaves) left.abort(new Error('left'));
    },
    () => stream.write({ input: { $case: 'size', value: terminalSize() } }),
  );
}

function greeting({ node, job }: ShellOpened): string {
  const where = job === '' ? `on ${node}` : `in ${job}, on ${node}`;
  return `A shell ${where}; "exit" ends it, and so does "~." at the beginning of a line`;
}
