import { readdir, readFile, stat } from 'node:fs/promises';
import { isSystemError } from '../../base/errors.ts';

/** The part of a descriptor's flags that says how it was opened (`O_ACCMODE`), and its value for reading only. */
const accessMask = 0o3;
const readOnly = 0o0;

/**
 * Files that these processes have open for writing, as `device:inode`: a container's processes know them by other
 * paths. Processes that end meanwhile, or are not ours to look into, count as having none open.
 */
export async function filesOpenForWriting(pids: readonly number[]): Promise<ReadonlySet<string>> {
  const files = new Set<string>();
  for (const pid of pids) {
    for (const descriptor of await orNothing(readdir(`/proc/${pid}/fd`), [])) {
      const info = await orNothing(readFile(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8'), '');
      const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? '0', 8);
      if ((flags & accessMask) === readOnly) continue;
      const facts = await orNothing(stat(`/proc/${pid}/fd/${descriptor}`, { bigint: true }), undefined);
      if (facts?.isFile()) files.add(`${facts.dev}:${facts.ino}`);
    }
  }
  return files;
}

async function orNothing<Value, Nothing>(value: Promise<Value>, nothing: Nothing): Promise<Value | Nothing> {
  try {
    return await value;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return nothing;
    throw error;
  }
}
