import { posix } from 'node:path';
import { relativePathProblem } from '../../base/names.ts';
import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import type { DraftInput } from './draft.ts';
import type { FilesEntry } from './labrun-file.ts';

/** What to lay out, from a `files` list of `labrun.yaml`: paths, folders, patterns, each with or without another name. */
export function resolveFiles(written: Written, entries: FilesEntry | undefined, at: Path): DraftInput[] {
  return (entries ?? []).flatMap((entry, index) => {
    const [path, as] = typeof entry === 'string' ? [entry, undefined] : [entry.path, entry.as];
    const place = typeof entry === 'string' ? [...at, index] : [...at, index, as === undefined ? 'path' : 'as'];
    const source = posix.normalize(path);
    const base = globBase(source);
    const name = base ?? source.replace(/\/+$/, '');
    const laidOut =
      as === undefined ? plainPlace(name) : renamed(as, base === undefined && !source.endsWith('/') ? name : undefined);
    const problem = laidOut === '' ? undefined : relativePathProblem(laidOut);
    if (problem !== undefined) {
      const what =
        as === undefined ? `"${path}" ${problem}; say where it goes: {path: ${path}, as: NAME}` : `"${as}" ${problem}`;
      written.problem(place, what);
      return [];
    }
    const glob = base === undefined ? {} : { glob: { base } };
    return [{ source, as: laidOut, at: [...at, index], fileOnly: false, place: 'inputs', ...glob }];
  });
}

/** The folder a pattern starts from, or nothing when the path is no pattern. Placeholders are no pattern. */
export function globBase(path: string): string | undefined {
  const parts = path.split('/');
  const first = parts.findIndex((part) =>
    /[*?]|\[[^\]]+\]|\{[^{}]*,[^{}]*\}/.test(part.replace(/\{\{[^{}]*\}\}/g, '')),
  );
  return first === -1 ? undefined : parts.slice(0, first).join('/');
}

/** `.` is the working directory itself. */
function plainPlace(name: string): string {
  return name === '.' ? '' : name;
}

/** `as: data/` puts something into that folder under its own name, unless that is a pattern or ends with `/` itself. */
function renamed(as: string, name: string | undefined): string {
  const place = posix.normalize(as).replace(/\/+$/, '');
  if (!as.endsWith('/') || name === undefined) return plainPlace(place);
  return posix.join(place, posix.basename(name));
}
