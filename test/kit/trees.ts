import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Everything below a folder: path to content (`latin1`, so that bytes compare), `-> target` of a link, or `/` of a
 * folder. `leaveOut` names entries at any depth that are not looked at.
 */
export function tree(folder: string, leaveOut: readonly string[] = ['.labrun']): Record<string, string> {
  const found: Record<string, string> = {};
  const walk = (below: string) => {
    for (const name of readdirSync(join(folder, below)).sort()) {
      if (leaveOut.includes(name)) continue;
      const path = below === '' ? name : `${below}/${name}`;
      const stat = lstatSync(join(folder, path));
      if (stat.isDirectory()) {
        found[`${path}/`] = '/';
        walk(path);
      } else {
        found[path] = stat.isSymbolicLink()
          ? `-> ${readlinkSync(join(folder, path))}`
          : readFileSync(join(folder, path), 'latin1');
      }
    }
  };
  walk('');
  return found;
}

/** Paths of the files below a folder that hold the text. Files of more than 4 MiB are not read. */
export function filesHolding(folder: string, text: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      try {
        return lstatSync(path).size <= 4 * 2 ** 20 && readFileSync(path).includes(text);
      } catch {
        return false; // renamed between the listing and the look
      }
    });
}
