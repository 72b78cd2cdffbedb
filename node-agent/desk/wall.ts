import { readFile } from 'node:fs/promises';
import { Fault } from '../../base/errors.ts';
import { runCommand } from '../machine/run-command.ts';

/** A terminal that is not read holds `wall` up for some seconds. */
const timeoutMs = 10_000;

/**
 * Writes a line to the terminals of all who are logged in. Throws `Fault` (`wall`, `command-failed`) when that can't
 * reach anybody, or fails.
 */
export async function wall(text: string, path: string): Promise<void> {
  const env = { PATH: path };
  if (await isShutOut(env)) {
    throw new Fault('wall', 'Cannot write to terminals: the account of the agent must be in the group "tty"');
  }
  const { exitCode, stderr } = await runCommand(['wall', text], { env, timeoutMs });
  if (exitCode !== 0 || stderr.trim() !== '') {
    throw new Fault('wall', `Cannot write to terminals: wall ends with ${exitCode}: ${stderr.trim()}`);
  }
}

/** `wall` is in the group of terminals by its own mode, says nothing when that does not help, and in our unit it does not. */
async function isShutOut(env: Readonly<Record<string, string>>): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8');
  const words = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/) ?? [];
  if (words('NoNewPrivs')[0] !== '1' || words('Uid')[1] === '0') return false;
  const { stdout } = await runCommand(['getent', 'group', 'tty'], { env, timeoutMs });
  const gid = stdout.split(':')[2] ?? '';
  return ![...words('Groups'), ...words('Gid')].includes(gid);
}
