import { RefusedError, refused } from '../../base/errors.ts';
import type { WindowSize } from '../../proto/gen/labrun/v1/shell.ts';

/** Bytes of one message of a terminal, at most. */
const dataMax = 64 * 2 ** 10;
/** Columns, or rows, that a window may have; programs make tables of them. */
const sideMax = 2_000;
/** Bytes of a command that is run in place of a shell, at most; on the node it is one word of another. */
const argvMax = 16 * 2 ** 10;

/** Throws `RefusedError` for more bytes than one message may have. */
export function checkSize(data: Uint8Array): void {
  if (data.length <= dataMax) return;
  const said = `a message has ${data.length} bytes, at most ${dataMax} are taken`;
  throw new RefusedError(refused('limit', `Cannot go on with this terminal: ${said}`));
}

/** Throws `RefusedError` for a command that no node could run. */
export function checkArgv(argv: readonly string[]): void {
  const bytes = argv.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
  if (bytes > argvMax)
    throw new RefusedError(
      refused('limit', `Cannot run this in a terminal: the command has ${bytes} bytes, at most ${argvMax} are taken`),
    );
  if (argv[0] === '' || argv.some((word) => word.includes('\0')))
    throw new RefusedError(refused('invalid', 'Cannot run this in a terminal: the command names no program'));
}

/** A window as programs may believe it; 80 by 24 where nothing is said. */
export function readWindow(size: WindowSize | undefined): WindowSize {
  const side = (told: number | undefined, otherwise: number) =>
    told === undefined || told < 1 ? otherwise : Math.min(told, sideMax);
  return { columns: side(size?.columns, 80), rows: side(size?.rows, 24) };
}

/** TERM as it may stand in an environment. */
export function readTerm(text: string): string {
  return /^[A-Za-z0-9._+-]{1,64}$/.test(text) ? text : 'xterm';
}
