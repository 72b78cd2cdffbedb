import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { capture } from '../kit/processes.ts';
import { repository } from '../kit/program.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';

it('runs the install scripts that package.json allows by name, and no other', async () => {
  const folder = scratchFolder();
  const write = (path: string, content: object | string) => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), typeof content === 'string' ? content : JSON.stringify(content));
  };
  const names = ['wanted', 'denied', 'forgotten'];
  for (const name of names) {
    const scripts = { install: `node -e "require('fs').writeFileSync('${join(folder, name)}.ran', '')"` };
    write(`packages/${name}/package.json`, { name, version: '1.0.0', scripts });
  }
  write('package.json', {
    name: 'project',
    version: '1.0.0',
    dependencies: Object.fromEntries(names.map((name) => [name, `file:packages/${name}`])),
    allowScripts: { wanted: true, denied: false },
  });
  write('.npmrc', 'install-links=true\n');
  for (const path of ['scripts/build.mjs', 'tsconfig.json', 'buf.gen.yaml', 'buf.yaml']) write(path, '');
  cpSync(join(repository, 'scripts/bootstrap.mjs'), join(folder, 'scripts/bootstrap.mjs'));
  const options = { cwd: folder, env: { ...process.env, npm_config_offline: 'true' } as Record<string, string> }; // an environment holds strings
  const lock = await capture(['npm', 'install', '--package-lock-only', '--ignore-scripts'], options);
  expect(lock.code, lock.stderr).toBe(0);
  const made = await capture([process.execPath, 'scripts/bootstrap.mjs'], options);
  expect(made.code, made.stderr).toBe(0);
  expect(names.filter((name) => existsSync(join(folder, 'node_modules', name)))).toEqual(names);
  expect(names.filter((name) => existsSync(join(folder, `${name}.ran`)))).toEqual(['wanted']);
});
