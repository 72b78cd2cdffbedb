import { RefusedError, refused } from '../../base/errors.ts';
import type { WindowSize } from '../../proto/gen/labrun/v1/shell.ts';

/** Bytes of one message of a terminal, at most. */
const dataMax = 64 * 2 ** 10;
/** Columns, or rows, that a window may have; programs make tables of them. */
const sideMax = 2_000;

/** Throws `RefusedError` for more bytes than one message may have. */
export function checkSize(data: Uint8Array): void {
  if (data.length <= dataMax) return;
  const said = `a message has ${data.length} bytes, at most ${dataMax} are taken`;
  throw new RefusedError(refused('limit', `Cannot go on with this terminal: ${said}`));
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
