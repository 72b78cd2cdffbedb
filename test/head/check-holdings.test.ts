import { mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { hashBytes } from '../../base/transfer/hash.ts';
import { writeSpec } from '../../config/spec-file.ts';
import { contentPath } from '../../head/archive/blobs.ts';
import { HeadWorld } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { aSpec } from '../kit/spec.ts';
import { until } from '../kit/until.ts';

const input = Buffer.from('what it reads');
const entry = { kind: 'file' as const, path: 'mesh.msh', hash: hashBytes(input), sizeBytes: input.length, mode: 0o644 };
const spec = aSpec({ sources: { data: [entry] } });
let folder = '';
let world: HeadWorld;

beforeEach(async () => {
  folder = scratchFolder();
  world = await HeadWorld.open(folder);
  onTestFinished(() => world.close());
  await world.put('lab', input);
  await world.submit(spec);
  await until('its folder is there', async () => (await world.pull({ batch: 'batch' })).size === 0);
  await world.close();
  // All of it has long been published.
  writeFileSync(join(folder, 'archive/.staging/published'), '1000000\n');
});

const blob = () => contentPath(join(folder, 'blobs'), hashBytes(input));
const archive = () => join(folder, 'archive/lab');

async function starts(): Promise<void> {
  world = await HeadWorld.on(folder);
}

async function noticed(text: string): Promise<void> {
  await until(`it is noticed that ${text}`, async () => (await world.notices()).some((one) => one.includes(text)));
  expect(world.complaints.filter((one) => one.includes(text))).toHaveLength(1);
}

describe('a head that starts', () => {
  it('names an input that is gone, and has it again when the batch is submitted once more', async () => {
    rmSync(blob());
    await starts();
    await noticed('input files of "lab/batch" are gone from the head\'s disk (data/mesh.msh)');
    expect(await world.missing('lab', hashBytes(input))).toBe(true);
  });

  it('moves an input of another size aside, so that it is uploaded again', async () => {
    truncateSync(blob(), 3);
    await starts();
    await noticed('(data/mesh.msh)');
    expect(await world.missing('lab', hashBytes(input))).toBe(true);
    await world.put('lab', input);
    expect(await world.missing('lab', hashBytes(input))).toBe(false);
  });

  it('leaves an input where it is that is whole, though a spec says another size', async () => {
    world = await HeadWorld.on(folder);
    const [whole, gone] = [Buffer.from('whole'), Buffer.from('gone')];
    await world.put('lab', whole, gone);
    const of = (content: Buffer, sizeBytes = content.length) => ({ ...entry, hash: hashBytes(content), sizeBytes });
    const sources = { first: [of(whole, 1_000)], second: [of(gone)] };
    await world.submit(aSpec({ name: 'other', sources }));
    await world.close();
    rmSync(contentPath(join(folder, 'blobs'), hashBytes(gone)));
    await starts();
    await noticed('input files of "lab/other" are gone from the head\'s disk (second/mesh.msh):');
    expect(await world.missing('lab', hashBytes(whole))).toBe(false);
  });

  it('names a spec that is gone', async () => {
    rmSync(contentPath(join(folder, 'blobs'), hashBytes(writeSpec(spec))));
    rmSync(join(archive(), 'batch/.labrun/batch.json'));
    await starts();
    await noticed('(its spec)');
  });

  it('has a spec that is gone again from batch.json, and results are held up by nothing', async () => {
    const path = contentPath(join(folder, 'blobs'), hashBytes(writeSpec(spec)));
    rmSync(path);
    await starts();
    const agent = await new LinkAgent(world.head.address, 'n1').connected();
    onTestFinished(() => agent.close());
    const { fence } = await agent.hear('assign');
    await agent.endInline(fence, { 'result.txt': 'there' });
    await world.ended('batch');
    expect((await world.pull({ batch: 'batch' })).get('job/result.txt')).toBe('there');
    expect(readFileSync(path)).toEqual(Buffer.from(writeSpec(spec)));
    expect(await world.notices()).toEqual([]);
  });

  it('has a spec that is damaged again from batch.json', async () => {
    const bytes = Buffer.from(writeSpec(spec));
    const path = contentPath(join(folder, 'blobs'), hashBytes(bytes));
    // As a disk leaves it that has lost a bit: it can still be read, and means something else.
    writeFileSync(`${path}.bad`, bytes.toString().replace('"text":"true"', '"text":"trud"'));
    renameSync(`${path}.bad`, path);
    expect(readFileSync(path).equals(bytes)).toBe(false);
    await starts();
    await until('it is as it was', () => readFileSync(path).equals(bytes));
    expect(await world.notices()).toEqual([]);
  });

  it('names a folder of a batch that somebody removed without saying so', async () => {
    rmSync(join(archive(), 'batch'), { recursive: true });
    await starts();
    await noticed('folder of "lab/batch" is not what was written there: it is gone');
  });

  it('names a folder in the place of a batch that is another', async () => {
    renameSync(join(archive(), 'batch'), join(archive(), 'moved'));
    mkdirSync(join(archive(), 'batch'));
    writeFileSync(join(archive(), 'batch/notes.txt'), '');
    await starts();
    await noticed('its batch.json is gone');
  });

  it('finds nothing to say where all is there', async () => {
    await starts();
    await world.submit(aSpec({ name: 'other' }));
    expect(await world.notices()).toEqual([]);
    expect(world.complaints).toEqual([]);
  });
});
