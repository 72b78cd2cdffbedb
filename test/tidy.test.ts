import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// The house rules, held by a test. A rule that is worth keeping is here; its reason is in docs/architecture.md.
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const rooms = ['base', 'config', 'head', 'node-agent', 'cli', 'bench', 'test', 'scripts'];
const sources = rooms.flatMap((room) => list(room)).filter((path) => path.endsWith('.ts'));
const programs = sources.filter((path) => !path.startsWith('test/'));

describe('the house', () => {
  it('lets rooms import only along the arrows', () => {
    const allowed: Record<string, readonly string[]> = {
      base: ['base'],
      config: ['config', 'base'],
      head: ['head', 'config', 'base', 'proto'],
      'node-agent': ['node-agent', 'config', 'base', 'proto'],
      cli: ['cli', 'config', 'base', 'proto'],
      scripts: ['scripts', 'config', 'base'],
    };
    const wrong = importsOf(programs).filter(({ from, to }) => {
      const room = roomOf(from);
      if (room === 'bench' || !to.startsWith('./')) return false;
      if (room === 'cli' && (to === './head/main.ts' || /^\.\/node-agent\/(presence\/)?main\.ts$/.test(to)))
        return false;
      return !allowed[room]?.includes(roomOf(to.slice(2)));
    });
    expect(wrong).toEqual([]);
  });

  it('has no circle of files that import each other, not even by their types', () => {
    const imports = new Map<string, string[]>();
    for (const { from, to } of importsOf(programs)) {
      if (to.startsWith('./')) imports.set(from, [...(imports.get(from) ?? []), to.slice(2)]);
    }
    // Who imports nothing that is left, or is imported by nobody, is on no circle: until nobody else goes.
    for (let before = -1; before !== imports.size; ) {
      before = imports.size;
      const imported = new Set([...imports.values()].flat());
      for (const [from, to] of imports) {
        if (!imported.has(from) || !to.some((path) => imports.has(path))) imports.delete(from);
      }
    }
    expect([...imports.keys()]).toEqual([]);
  });

  it('keeps the cores pure', () => {
    const pure = (path: string) =>
      path.startsWith('head/scheduler/') ||
      path.startsWith('node-agent/attempts/') ||
      /^node-agent\/presence\/(signal|fuse|history)\.ts$/.test(path) ||
      path === 'head/dispatch/reconcile.ts';
    const allowedBase = ['ids', 'assert', 'errors', 'units', 'names'].map((name) => `./base/${name}.ts`);
    const wrong = importsOf(programs.filter(pure)).filter(
      ({ to, typeOnly }) =>
        !(to.startsWith('./') && pure(to.slice(2))) &&
        !allowedBase.includes(to) &&
        !(typeOnly && /^\.\/(config|base)\//.test(to)),
    );
    expect(wrong).toEqual([]);
    for (const path of programs.filter(pure)) {
      expect(code(path), path).not.toMatch(/\basync\b|\bawait\b|Math\.random|Date\.now|\bprocess\.|setTimeout/);
    }
  });

  it('gives each package one home', () => {
    const homes: Record<string, readonly RegExp[]> = {
      zod: [/^config\//],
      yaml: [/^config\//],
      level: [/^head\/store\//, /^node-agent\/store\//],
      chokidar: [/^node-agent\/[a-z/-]+\.ts$/],
      systeminformation: [/^node-agent\/machine\/inventory\.ts$/],
      'node-pty': [/^node-agent\/executor\/terminal\.ts$/],
      '@napi-rs/blake-hash': [/^base\/transfer\/hash\.ts$/],
      pino: [/^base\/log\.ts$/],
      '@peculiar/x509': [/^base\/pki\//],
      '@grpc/grpc-js': [/^base\/channel\//, /^head\/grpc\//, /^node-agent\/(uplink|desk)\//, /^cli\//],
    };
    const wrong = importsOf(programs).filter(({ from, to }) => homes[to] && !homes[to].some((home) => home.test(from)));
    expect(wrong).toEqual([]);
    const watchers = importsOf(programs).filter(({ to }) => to === 'chokidar');
    expect(watchers.length, 'chokidar has one file').toBeLessThanOrEqual(1);
  });

  it('takes time and chance from base alone', () => {
    const edges = new Set(['base/clock.ts', 'base/random.ts']);
    for (const path of programs.filter((file) => !edges.has(file) && !file.startsWith('bench/'))) {
      expect(code(path), path).not.toMatch(/\bDate\.now\(|\bsetTimeout\(|\bsetInterval\(|\bMath\.random\(/);
    }
  });

  it('reads the process only where it starts', () => {
    const edges = [/\/main\.ts$/, /^bench\//, /^scripts\//, /^cli\//, /^base\/workers\//];
    for (const path of programs.filter((file) => !edges.some((edge) => edge.test(file)))) {
      expect(code(path), path).not.toMatch(/\bprocess\.(env|argv|exit|on|once)\b/);
    }
  });

  it('writes to the terminal in one place, where all text is made harmless', () => {
    // The bar and the screen draw their own cursor movements; a shell elsewhere has the terminal for itself; main.ts
    // listens for readers that went away.
    const edges = [
      'cli/terminal.ts',
      'cli/progress.ts',
      'cli/screen.ts',
      'cli/raw-terminal.ts',
      'cli/main.ts',
      'scripts/',
      'bench/',
    ];
    for (const path of programs.filter((file) => !edges.some((edge) => file.startsWith(edge)))) {
      expect(code(path), path).not.toMatch(/\bstd(out|err)\b[^;]*\.write\b|process\.stderr|\bconsole\.|inherit\b/);
      expect(read(path), path).not.toMatch(/stdio: 'inherit'/);
    }
    expect(code('cli/main.ts')).not.toMatch(/\.write\(/);
  });

  it('makes folders in one way: what Node does by itself names a full disk wrongly, and never ends in /proc', () => {
    const edges = [/^node-agent\/executor\/cgroup\.ts$/, /^scripts\//, /^bench\//]; // a control group is no folder of a disk
    for (const path of programs.filter((file) => !edges.some((edge) => edge.test(file)))) {
      expect(code(path), path).not.toMatch(/\bmkdir(Sync)?\([^;]*recursive: true/);
    }
  });

  it('keeps files short enough to read', () => {
    const long = sources
      .map((path) => ({ path, lines: read(path).split('\n').length }))
      .filter(({ lines }) => lines > 400);
    expect(long).toEqual([]);
  });

  it('names files in kebab-case, and never for nothing in particular', () => {
    const named = sources.map((path) => path.split('/').pop() ?? '');
    expect(named.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.ts$/.test(name))).toEqual([]);
    expect(named.filter((name) => /^(utils?|helpers?|common|manager|misc)\b/.test(name))).toEqual([]);
  });

  it('leaves no door open: no any, no enum, no default export, no non-null assertion, no unexplained cast', () => {
    for (const path of programs) {
      expect(code(path), path).not.toMatch(/:\s*any\b|\bas any\b|^\s*(export )?enum |^export default/m);
    }
    const unexplained = programs.flatMap((path) =>
      read(path)
        .split('\n')
        .map((line, at, all) => ({ where: `${path}:${at + 1}`, line, before: all[at - 1] ?? '' }))
        .filter(({ line }) =>
          / as (?!const\b)[A-Z(]/.test(line.replace(/\/\/.*|^\s*\*.*|import .*|export .* from .*/, '')),
        )
        .filter(
          ({ line, before }) => !line.includes('//') && !before.trim().startsWith('//') && !before.includes('*/'),
        ),
    );
    expect(unexplained.map(({ where, line }) => `${where} ${line.trim()}`)).toEqual([]);
  });
});

function list(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? list(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`],
  );
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** The file without comments and strings, so that rules see code only. */
function code(path: string): string {
  return read(path)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''");
}

function roomOf(path: string): string {
  return path.split('/')[0] ?? '';
}

/** What files import: own files as `./room/file.ts`, packages by name. */
function importsOf(paths: readonly string[]): { from: string; to: string; typeOnly: boolean }[] {
  return paths.flatMap((from) =>
    [
      ...read(from).matchAll(
        /(?:^|\n)\s*(?:import|export)\s+(type\s)?(?:[\w*{}\s,$]+\sfrom\s+)?'([^']+)'|import\('([^']+)'\)/g,
      ),
    ].map(([, type, named, dynamic]) => {
      const target = named ?? dynamic ?? '';
      const to = target.startsWith('.') ? `./${normalize(join(dirname(from), target))}` : packageOf(target);
      return { from, to, typeOnly: type !== undefined };
    }),
  );
}

function packageOf(target: string): string {
  const parts = target.split('/');
  return target.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}
