import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** What must never be seen, as long as what may be. */
export const secret = 'SECRET'.repeat(1_000);
/** What a job wrote itself. */
export const own = 'plain!'.repeat(1_000);
/** In a closed folder: a name that must not be seen either. */
export const secretName = 'passwords-of-everyone';

/** Puts one thing after the other in the place of `archive/file` and of `archive/folder`, as fast as it can. */
const program = `
const fs = require('node:fs');
const [archive, secrets, aside] = process.argv.slice(1);
const file = archive + '/file', folder = archive + '/folder';
fs.mkdirSync(aside);
for (let turn = 0; ; turn++) {
  const next = aside + '/next';
  fs.writeFileSync(next, ${JSON.stringify(own)});
  fs.renameSync(next, file);
  fs.symlinkSync(secrets + '/file', next);
  fs.renameSync(next, file);
  if (turn % 8 === 0) {
    require('node:child_process').spawnSync('mkfifo', [next]);
    fs.renameSync(next, file);
  }
  fs.renameSync(folder, aside + '/folder');
  fs.symlinkSync(secrets, folder);
  fs.unlinkSync(folder);
  fs.renameSync(aside + '/folder', folder);
  if (turn === 0) process.stdout.write('swapping');
}`;

/** Starts a process that swaps things below an archive folder until the test has finished. */
export async function startSwapper(archive: string, root: string): Promise<void> {
  const secrets = join(root, 'secrets');
  mkdirSync(secrets);
  for (const name of ['file', secretName]) writeFileSync(join(secrets, name), secret);
  mkdirSync(join(archive, 'folder'), { recursive: true });
  writeFileSync(join(archive, 'folder', 'file'), own);
  writeFileSync(join(archive, 'still'), own);
  const child = spawn(process.execPath, ['-e', program, archive, secrets, join(root, 'aside')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  await once(child.stdout, 'data');
}
