import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { asBatchId, ulid } from '../../../base/ids.ts';
import { ownerOf, placeOf, writeBatchFile } from '../../../head/archive/batch-folder.ts';
import { ArchiveLayout } from '../../../head/archive/layout.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const batchId = asBatchId(ulid(2, Buffer.alloc(10, 2)));
if (!batchId) throw new Error('the test makes a proper id');
const batch = { batchId, namespace: 't', name: 'b' };

function anArchive() {
  const layout = new ArchiveLayout(scratchFolder());
  return { layout, at: (...parts: string[]) => join(layout.root, 't', 'b', ...parts) };
}

it('a folder belongs to the batch that is named in it, and to nobody where there is none', async () => {
  const { layout } = anArchive();
  expect(await ownerOf(layout, 't', 'b')).toBeUndefined();
  await writeBatchFile(layout, { ...batch, replaced: false }, (async function* () {})());
  expect(await ownerOf(layout, 't', 'b')).toBe(batchId);
});

it('a folder that a head left half made when it was killed is still the batch’s, which is written again', async () => {
  for (const left of ['nothing', 'an own folder', 'half a file']) {
    const { layout, at } = anArchive();
    mkdirSync(at(...(left === 'nothing' ? [] : ['.labrun'])), { recursive: true });
    if (left === 'half a file') writeFileSync(at('.labrun', 'batch.json.part'), '{"id"');
    expect(await ownerOf(layout, 't', 'b'), left).toBeUndefined();
    expect(await placeOf(layout, batch), left).toMatchObject({ replaced: false });
  }
});

it('a folder with nothing but the log of a build, which still ran when somebody removed it, is nobody’s', async () => {
  const { layout, at } = anArchive();
  mkdirSync(at('.labrun'), { recursive: true });
  writeFileSync(at('.labrun', 'build-n1.log'), 'lines');
  expect(await ownerOf(layout, 't', 'b')).toBeUndefined();
});

it('a folder with anything in it that labrun did not write is foreign', async () => {
  for (const left of ['result.txt', '.labrun/notes', '.labrun/jobs.jsonl']) {
    const { layout, at } = anArchive();
    mkdirSync(at('.labrun'), { recursive: true });
    writeFileSync(at(...left.split('/')), '');
    expect(await ownerOf(layout, 't', 'b'), left).toBe('foreign');
  }
  const { layout } = anArchive();
  mkdirSync(join(layout.root, 't'));
  writeFileSync(join(layout.root, 't', 'b'), 'a file of that name');
  expect(await ownerOf(layout, 't', 'b')).toBe('foreign');
});
