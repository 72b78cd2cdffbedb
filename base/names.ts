/**
 * Names of namespaces, batches, jobs, nodes and axes, and the paths people write. Each is checked where it enters;
 * these functions answer with what is wrong, or nothing.
 */

/** Longest name, in characters. Names become folders, and most filesystems stop at 255 bytes. */
export const nameMax = 120;
/** Longest path inside an archive or a working directory, in bytes. */
export const pathMaxBytes = 1024;
/** Longest part of a path, in bytes: what Linux filesystems take. */
const partMaxBytes = 255;

const nameForm = /^[A-Za-z0-9][A-Za-z0-9._+=,@-]*$/;

/** What is wrong with a name, or nothing. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > nameMax) return `has ${name.length} characters (at most ${nameMax})`;
  if (nameForm.test(name)) return undefined;
  if (!/^[A-Za-z0-9]/.test(name)) return 'must start with a letter or a digit';
  const bad = [...name].find((character) => !/[A-Za-z0-9._+=,@-]/.test(character)) ?? '';
  return `holds ${JSON.stringify(bad)} (allowed: letters, digits and . _ + = , @ -)`;
}

/** Two names with the same key are the same name: people pull to disks that ignore case. */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

/**
 * What is wrong with a relative path inside a working directory or an archive, or nothing. `/` separates; a trailing
 * `/` (a folder) is fine.
 */
export function relativePathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.includes('\0')) return 'holds a NUL character';
  if (Buffer.byteLength(path) > pathMaxBytes) return `is longer than ${pathMaxBytes} bytes`;
  if (path.startsWith('/')) return 'is absolute; write it relative';
  const parts = path.replace(/\/+$/, '').split('/');
  if (parts.includes('..')) return 'leaves its folder by ".."';
  if (parts.some((part) => part === '' || part === '.')) return 'has an empty part or "."';
  if (parts.some((part) => Buffer.byteLength(part) > partMaxBytes)) return `has a part of over ${partMaxBytes} bytes`;
  return undefined;
}
