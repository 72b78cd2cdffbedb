import type { ClientDuplexStream } from '@grpc/grpc-js';
import { readStream, writeTo } from '../../base/channel/streams.ts';
import type { AgentShellMessage, ShellEnd, ShellInput } from '../../proto/gen/labrun/v1/shell.ts';

/** This node's end of one terminal, as its head has it. */
export class ShellStream {
  readonly #stream: ClientDuplexStream<AgentShellMessage, ShellInput>;
  readonly #inputs: AsyncGenerator<ShellInput>;

  constructor(stream: ClientDuplexStream<AgentShellMessage, ShellInput>) {
    this.#stream = stream;
    this.#inputs = readStream(stream);
  }

  /** What is typed, and how the window changes. Ends, or rejects, when whoever types has gone, or the head has. */
  get inputs(): AsyncIterable<ShellInput> {
    return this.#inputs;
  }

  /** Resolves when the head takes more; rejects when it has gone. */
  async send(message: NonNullable<AgentShellMessage['message']>): Promise<void> {
    await writeTo(this.#stream, { message });
  }

  /** The last word, which nobody may be there to hear. */
  end(how: ShellEnd): void {
    if (!this.#stream.destroyed) this.#stream.write({ message: { $case: 'ended', value: how } });
    this.#stream.end();
    this.#stream.resume(); // where nobody has begun to read, its end would not be heard
  }
}
