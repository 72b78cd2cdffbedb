import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { expect, it, onTestFinished } from 'vitest';
import { processesNaming } from '../kit/proc.ts';
import { capture } from '../kit/processes.ts';
import { program, repository } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { tree } from '../kit/trees.ts';

it('shows the default demo in under thirty seconds and cleans up', async () => {
  const { stdout, pulled, folder } = await demo();
  expect(Object.keys(tree(pulled)).filter((path) => path.endsWith('/plate.png'))).toHaveLength(6);
  expect(Object.keys(tree(pulled)).filter((path) => path.endsWith('/profile.csv'))).toHaveLength(6);
  expectPicture(readFileSync(join(pulled, 'plate-conductivity-1.0_mesh-64/plate.png')), 65 * 3);
  expect(stdout).toMatch(/hottest/);
  expect(stdout).toMatch(/conductivity/);
  expect(processesNaming(folder)).toEqual([]);
}, 40_000);

itWith('gfortran')(
  'shows the demo with a Fortran solver',
  async () => {
    const { pulled } = await demo('--gfortran');
    expect(Object.keys(tree(pulled)).filter((path) => path.endsWith('/stream.pgm'))).toHaveLength(6);
  },
  60_000,
);

itWith('openfoam')(
  'shows the demo with the OpenFOAM cavity, its dictionaries filled in from the matrix',
  async () => {
    const { pulled } = await demo('--openfoam');
    const files = tree(pulled);
    const job = 'cavity-nu-1e-3_cells-20/';
    expect(files[`${job}case/constant/transportProperties`]).toContain('nu 1e-3;');
    expect(files[`${job}case/system/blockMeshDict`]).toContain('(20 20 1)');
    expect(files[`${job}centreline.csv`]?.trim().split('\n')).toHaveLength(21);
  },
  60_000,
);

/** A square true-colour PNG whose rows are all there and not all black. */
function expectPicture(png: Buffer, side: number): void {
  expect(png.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([side, side]);
  const at = png.indexOf('IDAT');
  const rows = inflateSync(png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4)));
  expect(rows.length).toBe(side * (side * 3 + 1));
  expect(Math.max(...rows)).toBe(255);
}

/** Runs the demo with a temporary directory of its own; the folder it pulled to is the one it prints. */
async function demo(...options: string[]): Promise<{ stdout: string; pulled: string; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const env = { ...(process.env as Record<string, string>), TMPDIR: folder, HOME: folder, NO_COLOR: '1' }; // strings only
  const ran = await capture([process.execPath, program, 'demo', ...options], {
    env,
    cwd: repository,
    timeoutMs: 55_000,
  });
  expect(ran.code, ran.stdout + ran.stderr).toBe(0);
  const pulled = ran.stdout
    .split(/\s+/)
    .map((word) => word.replace(/[.,:;]+$/, ''))
    .find((word) => word.startsWith('/') && existsSync(join(word, 'jobs.csv')));
  if (pulled === undefined) throw new Error(`The demo does not say where it pulled to:\n${ran.stdout}`);
  expect(readFileSync(join(pulled, 'jobs.csv'), 'utf8').trim().split('\n').length).toBeGreaterThan(1);
  return { stdout: ran.stdout, pulled, folder };
}
