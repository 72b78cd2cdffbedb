import { chmod, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../base/errors.ts';
import { relativePathProblem } from '../../base/names.ts';
import type { Params } from '../../config/spec.ts';
import { renderText } from '../../config/template.ts';
import { realInside } from './inside.ts';

/** Largest file whose text is rendered, in bytes. */
const templateMaxBytes = 16 * 2 ** 20;

/**
 * Replaces `{{axis}}` in the text of laid-out files, and answers which were changed by it. Throws `Fault`
 * (`invalid-template`) naming the file.
 */
export async function renderTemplates(folder: string, paths: readonly string[], params: Params): Promise<string[]> {
  const rendered: string[] = [];
  for (const template of paths) {
    const path = renderText(template, params);
    const problem = relativePathProblem(path);
    if (problem) throw fault(path, `its path ${problem}`);
    const real = await realInside(folder, join(folder, path));
    if (real === undefined) throw fault(path, 'it is not among the files of the job');
    if (await renderOne(real, path, params)) rendered.push(real);
  }
  return rendered;
}

async function renderOne(file: string, path: string, params: Params): Promise<boolean> {
  const facts = await stat(file);
  if (!facts.isFile()) throw fault(path, 'it is no file');
  if (facts.size > templateMaxBytes) throw fault(path, `it is larger than ${templateMaxBytes / 2 ** 20} MiB`);
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    const before = text.decode(await readFile(file));
    const after = renderText(before, params);
    if (after === before) return false;
    await chmod(file, facts.mode | 0o200);
    await writeFile(file, after);
    await chmod(file, facts.mode);
    await utimes(file, facts.atimeMs / 1000, facts.mtimeMs / 1000);
    return true;
  } catch (error) {
    if (error instanceof TypeError) throw fault(path, 'it is no UTF-8 text');
    throw error;
  }
}

function fault(path: string, why: string): Fault {
  return new Fault('invalid-template', `Cannot insert parameters into "${path}": ${why}`);
}
