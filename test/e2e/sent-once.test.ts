import { randomBytes } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { countingProxy } from '../kit/counting-proxy.ts';
import { type Lab, ownLab } from '../kit/lab.ts';
import { itWith } from '../kit/real-parts.ts';
import { buildTinyImage } from '../kit/tiny-image.ts';

const batches = 10;
/** What the head may say to an agent about one small batch, besides its inputs. */
const talkMaxBytes = 50_000;

it('sends an input that ten batches share to a node once, counted on the wire', async () => {
  const { lab, bytesFromHead } = await aLab();
  const inputBytes = 4 * 2 ** 20;
  writeFileSync(lab.path('input.dat'), randomBytes(inputBytes));
  const before = bytesFromHead();
  for (let at = 0; at < batches; at++) {
    const job = {
      name: 'j',
      needs: { cpus: 1 },
      files: [{ path: lab.path('input.dat'), as: 'input.dat' }],
      run: 'wc -c <input.dat',
    };
    await lab.ok('submit', lab.jobFile(`batch-${at}`, { name: `b${at}`, namespace: 't', jobs: [job] }), '--wait');
    expect(await lab.ok('logs', `t/b${at}/j`)).toBe(`${inputBytes}\n`);
  }
  expectOnce(bytesFromHead() - before, inputBytes);
});

itWith('apptainer')(
  'sends an image to a node once for ten batches, counted on the wire',
  async () => {
    const { lab, bytesFromHead } = await aLab();
    const image = lab.path('tiny.sif');
    buildTinyImage(image);
    const before = bytesFromHead();
    for (let at = 0; at < batches; at++) {
      const text = JSON.stringify({
        meta: { batch_name: `b${at}`, namespace: 'd', capabilities: ['apptainer'] },
        apptainer: {
          initialize: { sif: { path: image }, required_files: [{ path: 'nap' }], required_mounts: ['/scratch-mount'] },
          jobs: [{ name: 'only', required_files: [{ path: 'only.txt', alias: 'input.txt' }] }],
        },
      });
      const folder = lab.write(`batch-${at}`, { nap: '0', 'only.txt': `${at}\n`, 'distribute-jobs.yaml': text });
      await lab.ok('submit', join(folder, 'distribute-jobs.yaml'), '--wait');
    }
    expectOnce(bytesFromHead() - before, statSync(image).size);
  },
  60_000,
);

/** A lab whose agent reaches the head through a proxy that counts. */
async function aLab(): Promise<{ lab: Lab; bytesFromHead: () => number }> {
  const lab = await ownLab({ agents: {} });
  const proxy = await countingProxy(lab.path('proxy.sock'), lab.path('head.sock'));
  await lab.launchAgent('n1', {}, proxy.address).line(/: connected to/);
  return { lab, bytesFromHead: proxy.bytesFromHead };
}

function expectOnce(bytes: number, inputBytes: number): void {
  expect(inputBytes).toBeGreaterThan(talkMaxBytes * batches);
  expect(bytes).toBeGreaterThanOrEqual(inputBytes);
  expect(bytes).toBeLessThan(inputBytes + talkMaxBytes * batches);
}
