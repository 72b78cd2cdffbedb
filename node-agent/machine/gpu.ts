import { Fault } from '../../base/errors.ts';
import { runCommand } from './run-command.ts';

/** The NVIDIA GPUs of a machine. */
export interface Gpus {
  readonly count: number;
  /** Version of the driver; empty without one. */
  readonly driver: string;
}

/** A driver that hangs (a card that fell off the bus) must not hold up the agent. */
const timeoutMs = 10_000;
const query = ['--query-gpu=index,uuid,name,memory.total,driver_version', '--format=csv,noheader,nounits'];

/** Asks `nvidia-smi`. No such program, no driver and no card are all the same: none. */
export async function findGpus(path: string): Promise<Gpus> {
  try {
    const env = { PATH: path, LANG: 'C' };
    const { exitCode, stdout } = await runCommand(['nvidia-smi', ...query], { env, timeoutMs });
    return exitCode === 0 ? readGpus(stdout) : { count: 0, driver: '' };
  } catch (error) {
    if (error instanceof Fault) return { count: 0, driver: '' };
    throw error;
  }
}

/** Reads the lines of that query: one a card, its fields in the order asked for. */
export function readGpus(text: string): Gpus {
  const cards = text
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter(([index = '', uuid = '']) => /^\d+$/.test(index) && uuid !== '');
  return { count: cards.length, driver: cards[0]?.at(-1) ?? '' };
}
