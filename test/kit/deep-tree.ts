import { spawnSync } from 'node:child_process';

/** Nests folders, each with a file, deeper than any path may be long: made step by step, from inside. */
export function makeDeepTree(folder: string, levels: number): void {
  const program = `
    const fs = require('node:fs');
    for (let level = 0; level < ${levels}; level++) {
      fs.mkdirSync('a-folder');
      process.chdir('a-folder');
      fs.writeFileSync('file', 'x');
    }`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', program], { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`Cannot nest folders: ${stderr}`);
}
