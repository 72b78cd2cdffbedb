import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';
import { capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';

it('notices a byte that was flipped in the middle of the log, names it, and serves only with --accept-loss', async () => {
  const lab = await ownLab();
  const file = lab.jobFile('many', {
    name: 'many',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        matrix: { i: Array.from({ length: 30 }, (_, at) => String(at)) },
        needs: { cpus: 1 },
        run: ['/bin/true'],
      },
    ],
  });
  await lab.ok('submit', file, '--wait');
  const before = (await lab.ok('events', '--json')).trim().split('\n').length;
  await lab.agents.get('n1')?.stop();
  await lab.head.end('SIGKILL');

  flipByte(largestDatabaseFile(join(lab.folder, 'head')));
  const start = ['head', 'start', '--data', lab.path('head'), '--grpc', lab.address];
  const refused = await capture([process.execPath, program, ...start], { env: lab.env, timeoutMs: 20_000 });
  expect(refused.code).not.toBe(0);
  expect(refused.stderr + refused.stdout).toMatch(/damage|lost|missing|corrupt/i);
  expect(refused.stderr + refused.stdout).toMatch(/\d+/); // which records
  expect(refused.stderr + refused.stdout).toContain('--accept-loss');

  await lab.startHead('--accept-loss');
  const after = (await lab.ok('events', '--json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).seq);
  expect(after.length).toBeLessThan(before + 2);
  expect(after).toEqual(after.map((_, at) => at + after[0])); // what is told has no gap
});

/** The write-ahead log or table that holds most of the records. */
function largestDatabaseFile(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^\d{6}\.(log|ldb)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((a, b) => statSync(b).size - statSync(a).size);
  if (files[0] === undefined) throw new Error(`No database files in ${folder}`);
  return files[0];
}

function flipByte(path: string): void {
  const at = Math.floor(statSync(path).size / 2);
  const handle = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(handle, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x40;
  writeSync(handle, byte, 0, 1, at);
  closeSync(handle);
}
