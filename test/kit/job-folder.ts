import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type ResolvedJobFile, type ResolveOptions, resolveJobFile } from '../../config/job-file.ts';
import { ConfigError } from '../../config/reading/problems.ts';
import { scratchFolder } from './scratch-folder.ts';

/** What lies at a path: a text, a program, or a link. */
export type Content = string | { readonly program: string } | { readonly link: string };

/** A new folder with these files; paths that end with `/` are empty folders. */
export function jobFolder(files: Readonly<Record<string, Content>>): string {
  const folder = scratchFolder();
  for (const [path, content] of Object.entries(files)) {
    const whole = join(folder, path);
    mkdirSync(path.endsWith('/') ? whole : dirname(whole), { recursive: true });
    if (path.endsWith('/')) continue;
    if (typeof content === 'object' && 'link' in content) symlinkSync(content.link, whole);
    else writeFileSync(whole, typeof content === 'string' ? content : content.program);
    if (typeof content === 'object' && 'program' in content) chmodSync(whole, 0o755);
  }
  return folder;
}

/** Reads `labrun.yaml` (or the file named) of a folder made of these files. */
export async function resolveFolder(
  files: Readonly<Record<string, Content>>,
  options: Partial<ResolveOptions> & { readonly file?: string } = {},
): Promise<ResolvedJobFile> {
  return resolveJobFile(join(jobFolder(files), options.file ?? 'labrun.yaml'), { user: 'kim', ...options });
}

/** Everything that is wrong, as people see it, without the folder's random name. */
export async function problemsOf(
  files: Readonly<Record<string, Content>>,
  options: Partial<ResolveOptions> & { readonly file?: string } = {},
): Promise<string> {
  const folder = jobFolder(files);
  try {
    await resolveJobFile(join(folder, options.file ?? 'labrun.yaml'), { user: 'kim', ...options });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.replaceAll(`${folder}/`, '');
  }
  throw new Error('nothing was wrong');
}
