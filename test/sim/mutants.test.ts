import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, expect, it } from 'vitest';
import { runSim } from '../kit/run-sim.ts';
import { type Mutant, mutants } from './mutants.ts';

const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
// Inside the repository, so that packages are found from there.
const folder = join(repository, '.build', 'sim-mutants');
mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Worlds in which a broken labrun must be found out, at most. */
const seedsMax = 30;

for (const [at, mutant] of mutants.entries()) {
  it(`the simulation objects when ${mutant.name}`, { timeout: 240_000 }, async () => {
    const program = join(folder, `mutant-${at}.mjs`);
    await bundle(mutant, program);
    const { code, output } = await runSim(program, '--weather', mutant.weather, '--seeds', String(seedsMax));
    expect(output).toMatch(/broke its promises|AssertionError/);
    expect(code).toBe(1);
  });
}

async function bundle({ file, from, to }: Mutant, outfile: string): Promise<void> {
  const path = join(repository, file);
  const source = readFileSync(path, 'utf8');
  expect(source.split(from), `${file} holds the place that is changed, once`).toHaveLength(2);
  await build({
    entryPoints: [join(repository, 'test/sim/main.ts')],
    ...{ bundle: true, platform: 'node', format: 'esm', packages: 'external', outfile, logLevel: 'silent' },
    plugins: [
      {
        name: 'mutate',
        setup: ({ onLoad }) =>
          onLoad({ filter: /\.ts$/ }, ({ path: loaded }) =>
            loaded === path ? { contents: source.replace(from, () => to), loader: 'ts' } : undefined,
          ),
      },
    ],
  });
}
