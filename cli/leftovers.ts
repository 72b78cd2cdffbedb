import { readdir, readFile, readlink } from 'node:fs/promises';

/**
 * Ids of processes that still name a folder in their command, environment or working folder: jobs outlive their agent
 * by design, so a private cluster that ends early looks for what it has left.
 */
export async function processesIn(folder: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (await names(pid, folder)) found.push(pid);
  }
  return found;
}

async function names(pid: number, folder: string): Promise<boolean> {
  // A process that ends meanwhile, or belongs to someone else, is none of ours.
  const nothing = () => '';
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(nothing);
  if (/^State:\s+[ZX]/m.test(status)) return false;
  const texts = await Promise.all([
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(nothing),
    readFile(`/proc/${pid}/environ`, 'utf8').catch(nothing),
    readlink(`/proc/${pid}/cwd`).catch(nothing),
  ]);
  return texts.some((text) => text.includes(folder));
}
