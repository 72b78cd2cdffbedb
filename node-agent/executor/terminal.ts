import { chmodSync, chownSync, closeSync, constants, openSync, write } from 'node:fs';
import { type Clock, delay, type Timer } from '../../base/clock.ts';
import { deferred } from '../../base/deferred.ts';
import { isSystemError, messageOf } from '../../base/errors.ts';

/** How large a window is, in characters. */
export interface WindowSize {
  readonly columns: number;
  readonly rows: number;
}

/** What runs in a terminal. */
export interface TerminalRequest {
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly size: WindowSize;
  /** TERM. */
  readonly term: string;
  /** Whose the terminal is, where that is not us. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

/** A terminal and what runs in it. */
export interface Terminal {
  /** Resolves when all of it is typed: what reads slowly makes the writer wait. After the end it is dropped. */
  type(data: Uint8Array): Promise<void>;
  resize(size: WindowSize): void;
  /** Stops and goes on reading what the program says, which then waits, too. Once it has ended, what is left is told at once. */
  pause(): void;
  resume(): void;
  /** How the program has ended, as a shell says it; everything it said before has been told. */
  readonly ended: Promise<number>;
}

/**
 * The bit in a terminal's mode that says: whoever types here sits elsewhere. For devices it has no other meaning, and it
 * lasts as long as the terminal, whatever becomes of the agent.
 */
export const remoteMark = 0o1000;

/** The kernel has no event for a terminal that takes typing again: it is tried this often, in milliseconds. */
const retypeMs = 20;
/**
 * node-pty closes a terminal 200 ms after its program has ended, whether all was read or not, and says nothing before:
 * while nothing is read, it is looked this often whether the program is still there, in milliseconds. What is left then is
 * no more than the kernel holds for a terminal, some 64 KiB.
 */
const lookMs = 40;

/** Why there are no terminals here; nothing when there are. */
export async function terminalProblem(): Promise<string | undefined> {
  try {
    await load();
    return undefined;
  } catch (error) {
    const why = messageOf(error).split('\n')[0];
    return `it has no node-pty, which is built when labrun is installed where there are make, g++ and python3 (${why})`;
  }
}

/**
 * Starts a program in a new terminal. Only in a process of its own for each: node-pty leaves its side open to whatever
 * is started later, and who has that side reads and types along.
 */
export async function openTerminal(
  { argv, cwd, env, size, term, owner }: TerminalRequest,
  clock: Clock,
  hear: (data: Buffer) => void,
): Promise<Terminal> {
  const { spawn } = await load();
  const [program = '', ...args] = argv;
  const pty = spawn(program, args, { name: term, cols: size.columns, rows: size.rows, cwd, env, encoding: null });
  // Held until the end: libuv takes it for the end of what there is to read that nobody has the program's side any more,
  // and leaves what the program said last.
  const otherSide = openSync(pty.ptsName, constants.O_RDWR | constants.O_NOCTTY);
  if (owner) chownSync(pty.ptsName, owner.uid, owner.gid);
  chmodSync(pty.ptsName, 0o600 | remoteMark);
  const ended = deferred<number>();
  let isOver = false;
  let look: Timer | undefined;
  const goOn = () => {
    look?.cancel();
    look = undefined;
    pty.resume();
  };
  const holdWhileAlive = () => {
    look = clock.setTimer(lookMs, () => (isThere(pty.pid) ? holdWhileAlive() : goOn()));
  };
  pty.on('data', hear);
  pty.onExit(({ exitCode, signal = 0 }) => {
    isOver = true;
    look?.cancel();
    closeSync(otherSide);
    ended.resolve(signal > 0 ? 128 + signal : exitCode);
  });
  return {
    ended: ended.promise,
    async type(data) {
      for (let at = 0; at < data.length && !isOver; ) {
        const taken = await typeSome(pty.fd, data, at);
        at += taken;
        if (taken === 0) await delay(clock, retypeMs);
      }
    },
    resize(to) {
      if (!isOver) pty.resize(to.columns, to.rows);
    },
    pause() {
      if (look || !isThere(pty.pid)) return;
      pty.pause();
      holdWhileAlive();
    },
    resume: goOn,
  };
}

/** Whether the program lives, or nobody has asked yet how it ended. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EPERM')) return true; // it has become another user
    if (isSystemError(error, 'ESRCH')) return false;
    throw error;
  }
}

/** Not by node-pty, which keeps whatever is not taken yet and never says how much that is. */
function typeSome(fd: number, data: Uint8Array, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, data, from, data.length - from, null, (error, taken) => {
      if (!error) resolve(taken);
      else if (isSystemError(error, 'EAGAIN')) resolve(0);
      // The program has just ended, which its exit tells.
      else if (isSystemError(error, 'EIO', 'EBADF')) resolve(data.length - from);
      else reject(error);
    });
  });
}

/** The few members of node-pty that we use. It is optional: where it is not installed its own types are missing, too. */
interface NodePty {
  spawn(
    file: string,
    args: readonly string[],
    options: {
      readonly name: string;
      readonly cols: number;
      readonly rows: number;
      readonly cwd: string;
      readonly env: Readonly<Record<string, string>>;
      readonly encoding: null;
    },
  ): {
    /** Of the program. */
    readonly pid: number;
    /** The side of the terminal that is ours. */
    readonly fd: number;
    /** The path of the other side. */
    readonly ptsName: string;
    on(event: 'data', listener: (data: Buffer) => void): void;
    onExit(listener: (how: { readonly exitCode: number; readonly signal?: number }) => void): void;
    pause(): void;
    resume(): void;
    resize(columns: number, rows: number): void;
  };
}

async function load(): Promise<NodePty> {
  const name: string = 'node-pty'; // no literal in the import, so that types do not have to be there
  return (await import(name)) as NodePty; // what its release in package-lock.json has
}
