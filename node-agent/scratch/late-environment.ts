import { chownSync, writeFileSync } from 'node:fs';

/** Who owns a file. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * A command that takes its environment from a file when it is behind a wall, and not before: with PATH or LD_PRELOAD a
 * job could otherwise choose what puts the wall up. Not in the command itself, which everybody may read in /proc.
 * Names that shells refuse to set (`UID`) are left out.
 */
export function lateEnvironment(
  file: string,
  env: Readonly<Record<string, string>>,
  argv: readonly string[],
  owner: Owner | undefined,
): readonly string[] {
  writeFileSync(file, exportText(env), { mode: 0o600 });
  if (owner) chownSync(file, owner.uid, owner.gid);
  return ['/bin/sh', '-c', '. "$0" && exec "$@"', file, ...argv];
}

function exportText(env: Readonly<Record<string, string>>): string {
  const settable = Object.entries(env).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !fixed.has(name));
  return settable.map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`).join('');
}

const fixed = new Set(['UID', 'EUID', 'PPID', 'SHELLOPTS', 'BASHOPTS', 'BASH_VERSINFO']);
