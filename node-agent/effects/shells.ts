import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { workerFile } from '../../base/assets.ts';
import { background } from '../../base/background.ts';
import { writeTo } from '../../base/channel/streams.ts';
import type { Clock } from '../../base/clock.ts';
import { Fault, messageOf } from '../../base/errors.ts';
import type { AttemptId } from '../../base/ids.ts';
import type { Log } from '../../base/log.ts';
import { makeFolder } from '../../base/make-folder.ts';
import { removeGuarded } from '../../base/transfer/remove-guarded.ts';
import { unlessAborted } from '../../base/unless-aborted.ts';
import type { ShellEnd } from '../../proto/gen/labrun/v1/shell.ts';
import { terminalProblem, type WindowSize } from '../executor/terminal.ts';
import { dataFrame, sizeFrame } from '../executor/terminal-host/frames.ts';
import type { HostOrder } from '../executor/terminal-host/order.ts';
import type { Executor, ProcessEnd, ProcessRequest } from '../ports.ts';
import type { ShellStream } from '../uplink/shell-stream.ts';
import { type HostSocket, listenForHost } from './host-socket.ts';
import type { YieldingTree } from './tree-yields.ts';

/** A terminal that somebody wants here. */
export interface ShellOrder {
  readonly id: string;
  /** In whose place; nothing: the node's own. */
  readonly attempt: AttemptId | undefined;
  readonly size: WindowSize;
  readonly term: string;
  /** Who asked for it. */
  readonly user: string;
  /** What runs in it; empty: a shell. */
  readonly argv: readonly string[];
}

/** A terminal that is open here. */
export interface ShellHere {
  readonly user: string;
  /** In whose place; nothing: the node's own. */
  readonly attempt: AttemptId | undefined;
  readonly sinceMs: number;
}

/** What terminals need. */
export interface ShellPorts {
  readonly executor: Pick<Executor, 'start' | 'kill' | 'processes'>;
  /** Each has a folder of its own in here. */
  readonly folder: string;
  /** Whose terminals they are, where that is not us. */
  readonly owner: HostOrder['owner'];
  readonly log: Log;
  readonly clock: Clock;
  /** Whether the node's admin lets people have them. */
  isAllowed(): boolean;
  /** One was opened, or has ended. */
  changed(): void;
  /** Processes that may have to yield run now, or have ended. */
  treesChanged(): void;
  /** How the shell is started; `home` is its folder. Throws `Fault` where there is no place for it. */
  place(order: ShellOrder, home: string): Promise<ProcessRequest>;
  /** Brings our end to the head. */
  attach(): ShellStream;
}

/** How long what runs in a terminal has to go when its person has gone, in milliseconds. */
const graceMs = 1_000;
/** Why a terminal ends whose job is being looked at for its results: then nothing of it may write there any more. */
const jobOver = 'job-over';
/** Who decided that there are none, for whoever asked. */
const forbidden = 'its admin forbids terminals (shell: false in agent.yaml)';
/** Cores that a terminal counts for where all that runs is slowed down together. */
const shellCpus = 1;
/** Typed bytes that may wait for a terminal which does not take them; then its person is read no further. */
const typedMaxBytes = 64 * 2 ** 10;
/** Bytes of one message to the head, at most. */
const dataMax = 64 * 2 ** 10;

/** What somebody sees whose terminal does not answer any more, and then does again. */
const stoppedText =
  '\r\n[labrun: stopped with its job for the person at the machine; "labrun why" says until when]\r\n';
const goesOnText = '\r\n[labrun: goes on]\r\n';

interface Open {
  readonly attempt: AttemptId | undefined;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** A terminal whose processes run, or stand still for a while. */
interface Here extends ShellHere {
  /** Writes this where its person sees it; nothing where a program reads. */
  readonly tell: ((text: string) => void) | undefined;
  isStopped: boolean;
}

/**
 * Terminals of people elsewhere. Each is a process tree of its own, which ends with its person's connection, with the
 * job in whose place it is, and with the agent. Those of jobs are stopped and slowed down with them; those of the node
 * itself are its admin's, and go on.
 */
export class Shells {
  readonly #ports: ShellPorts;
  readonly #open = new Map<string, Open>();
  readonly #here = new Map<string, Here>();
  #isClosed = false;

  constructor(ports: ShellPorts) {
    this.#ports = ports;
  }

  /** Ends what an earlier agent left. */
  async restore(): Promise<void> {
    const { folder, executor } = this.#ports;
    await makeFolder(folder);
    // Whom jobs run as comes through to what is theirs; the names are not to be listed.
    await chmod(folder, 0o711);
    for (const name of await readdir(folder)) {
      await executor.kill(join(folder, name), 0);
      await removeGuarded(join(folder, name));
    }
  }

  /** Opens one; whoever asked hears of what goes wrong. */
  open(order: ShellOrder): void {
    // A stopping agent leaves the head in a moment, which tells whoever asked.
    if (this.#isClosed || this.#open.has(order.id)) return;
    const stop = new AbortController();
    const done = this.#serve(order, stop).finally(() => this.#open.delete(order.id));
    this.#open.set(order.id, { attempt: order.attempt, stop, done });
    background(done);
  }

  /** Ends those in places of attempts that do not run any more. */
  keep(runs: (attempt: AttemptId) => boolean): void {
    for (const { attempt, stop } of this.#open.values())
      if (attempt !== undefined && !runs(attempt)) stop.abort(new Fault(jobOver, 'the job has ended'));
  }

  /** Ends those in the place of one attempt; resolves when nothing of them is left, so that nothing of them writes there any more. */
  async leave(attempt: AttemptId): Promise<void> {
    this.keep((other) => other !== attempt);
    const there = [...this.#open.values()].filter((open) => open.attempt === attempt);
    await Promise.all(there.map(({ done }) => done));
  }

  /** Those that are open, the oldest first. */
  list(): readonly ShellHere[] {
    return [...this.#here.values()].map(({ user, attempt, sinceMs }) => ({ user, attempt, sinceMs }));
  }

  /** Those in places of jobs, to yield with them; `usesGpu` says whether a job may. */
  trees(usesGpu: (attempt: AttemptId) => boolean): readonly YieldingTree[] {
    const inJobs = [...this.#here].flatMap(([id, here]) =>
      here.attempt === undefined ? [] : [{ id, here, usesGpu: usesGpu(here.attempt) }],
    );
    return inJobs.map(({ id, here, usesGpu }) => ({
      home: join(this.#ports.folder, id),
      cpus: shellCpus,
      user: here.user,
      usesGpu,
      paced(share) {
        const isStopped = share === 0;
        if (isStopped === here.isStopped) return;
        here.isStopped = isStopped;
        here.tell?.(isStopped ? stoppedText : goesOnText);
      },
    }));
  }

  /** Ends all of them where the admin has come to forbid them. */
  checkAllowed(): void {
    if (this.#ports.isAllowed()) return;
    for (const { stop } of this.#open.values()) stop.abort(new Fault('forbidden', forbidden));
  }

  /** Ids of all processes in terminals. */
  async processes(): Promise<readonly number[]> {
    const { executor, folder } = this.#ports;
    return (await Promise.all([...this.#open.keys()].map((id) => executor.processes(join(folder, id))))).flat();
  }

  /** Resolves when nothing of any is left. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { stop } of this.#open.values()) stop.abort(new Fault('over', 'the agent of the node is stopping'));
    await Promise.all([...this.#open.values()].map(({ done }) => done));
  }

  async #serve(order: ShellOrder, stop: AbortController): Promise<void> {
    const { executor, folder, log } = this.#ports;
    const home = join(folder, order.id);
    const stream = this.#ports.attach();
    let end: ShellEnd;
    try {
      end = await this.#run(order, home, stream, stop);
    } catch (error) {
      end = { exitCode: undefined, message: messageOf(stop.signal.aborted ? stop.signal.reason : error) };
      log.info({ shell: order.id, why: end.message }, 'a terminal has ended');
    }
    try {
      const { reason } = stop.signal;
      await executor.kill(home, reason instanceof Fault && reason.code === jobOver ? 0 : graceMs);
      await removeGuarded(home);
    } catch (error) {
      // The next start of the agent looks at the folder again.
      log.error({ shell: order.id, error: messageOf(error) }, 'cannot clear up after a terminal');
    }
    if (this.#here.delete(order.id)) {
      this.#ports.changed();
      this.#ports.treesChanged();
    }
    stream.end(end);
  }

  async #run(order: ShellOrder, home: string, stream: ShellStream, stop: AbortController): Promise<ShellEnd> {
    // Who takes nothing of what is said must not keep a terminal from ending.
    const say = (message: Parameters<ShellStream['send']>[0]) => unlessAborted(stream.send(message), stop.signal);
    await say({ $case: 'id', value: order.id });
    if (!this.#ports.isAllowed()) {
      await say({ $case: 'forbidden', value: forbidden });
      throw new Fault('forbidden', forbidden);
    }
    const problem = await terminalProblem();
    if (problem !== undefined) throw new Fault('no-terminal', `Cannot open a terminal on this node: ${problem}`);
    await mkdir(home);
    await chmod(home, 0o711);
    const request = await this.#ports.place(order, home);
    const socket = await listenForHost(join(home, 'socket'), stop.signal);
    try {
      stop.signal.throwIfAborted();
      const { size, term } = order;
      const { argv, cwd } = request;
      const host: HostOrder = { socket: socket.path, argv, cwd, size, term, owner: this.#ports.owner };
      const command = [process.execPath, workerFile('terminal'), JSON.stringify(host)];
      const running = await this.#ports.executor.start({
        ...request,
        id: `shell-${order.id}`,
        cwd: '/',
        argv: command,
      });
      const { user, attempt } = order;
      const isSeen = order.argv.length === 0;
      const tell = (text: string) => {
        // Where nobody is there to hear it, the terminal is about to end for that.
        stream.send({ $case: 'data', value: Buffer.from(text) }).catch(() => undefined);
      };
      const sinceMs = this.#ports.clock.nowMs();
      this.#here.set(order.id, { user, attempt, sinceMs, tell: isSeen ? tell : undefined, isStopped: false });
      this.#ports.changed();
      void running.ended.then(() => socket.giveUp());
      // Whoever types has gone, or the head: nobody reads what is said here any more.
      const typing = type(stream, socket).finally(() => stop.abort(new Fault('over', 'whoever had it has gone')));
      typing.catch(() => undefined); // however it broke off, the shell has ended by it, and that is no news
      await say({ $case: 'started', value: true });
      this.#ports.treesChanged();
      for await (const data of socket.said()) {
        for (let at = 0; at < data.length; at += dataMax)
          await say({ $case: 'data', value: data.subarray(at, at + dataMax) });
      }
      stop.signal.throwIfAborted();
      return endOf(await running.ended);
    } finally {
      socket.close();
    }
  }
}

/**
 * Hands what is typed to the terminal until whoever types has gone, which is noticed also while nothing takes what they
 * type: a terminal that was stopped with its job before it was open, or that somebody has typed into since.
 */
async function type(stream: ShellStream, socket: HostSocket): Promise<void> {
  let waitingBytes = 0;
  let taken = Promise.resolve();
  const handOver = async (frame: Buffer) => {
    await give(socket, frame);
    waitingBytes -= frame.length;
  };
  for await (const { input } of stream.inputs) {
    const frame =
      input?.$case === 'data' ? dataFrame(input.value) : input?.$case === 'size' ? sizeFrame(input.value) : undefined;
    if (frame === undefined) continue;
    waitingBytes += frame.length;
    taken = taken.then(() => handOver(frame));
    taken.catch(() => undefined); // a terminal that breaks says so by its end
    if (waitingBytes > typedMaxBytes) await taken;
  }
}

async function give(socket: HostSocket, frame: Buffer): Promise<void> {
  const host = await socket.connected;
  try {
    if (!host.destroyed) await writeTo(host, frame);
  } catch (error) {
    // Typed when the program had just ended: its end is on its way.
    if (!host.destroyed) throw error;
  }
}

function endOf(end: ProcessEnd): ShellEnd {
  if (end.kind === 'lost') return { exitCode: undefined, message: `the terminal was lost: ${end.message}` };
  return { exitCode: end.kind === 'exited' ? end.exitCode : 128 + end.signal, message: '' };
}
