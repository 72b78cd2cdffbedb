import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { version } from '../../../base/version.ts';
import { violations } from '../../../head/scheduler/invariants.ts';
import { crc32c } from '../../../head/store/checksum.ts';
import { copyIn } from '../../../head/store/copy-in.ts';
import { openDatabase } from '../../../head/store/database.ts';
import { recordKey, snapshotKey } from '../../../head/store/keys.ts';
import { openStore } from '../../../head/store/open.ts';
import * as records from '../../../proto/gen/labrun/store/v1/log.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/snapshot.ts';
import { meaningOf, missingKinds, releasesFolder } from '../../kit/release-fixture.ts';
import { releaseStory } from '../../kit/release-story.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

/** A database as that release has written it. */
async function laidOut(release: string): Promise<string> {
  const folder = scratchFolder();
  await copyIn(join(releasesFolder, release, 'database'), join(folder, 'log'), undefined);
  return folder;
}

const expected = (release: string) => JSON.parse(readFileSync(join(releasesFolder, release, 'meaning.json'), 'utf8'));

describe.each(readdirSync(releasesFolder))('what release %s has written', (release) => {
  it('means the same today, from its snapshot and the records after it', async () => {
    const store = await openStore(await laidOut(release), { acceptLoss: false });
    expect(JSON.parse(JSON.stringify(meaningOf(store.draft)))).toEqual(expected(release));
    expect(violations(store.draft)).toEqual([]);
    expect(await store.checkHistory()).toBeUndefined();
    await store.abandon();
  });

  it('means the same from its records alone', async () => {
    const folder = await laidOut(release);
    const database = await openDatabase(join(folder, 'log'));
    await database.clear({ gte: snapshotKey(0), lte: snapshotKey(Number.MAX_SAFE_INTEGER) });
    await database.close();
    const store = await openStore(folder, { acceptLoss: false });
    expect(JSON.parse(JSON.stringify(meaningOf(store.draft)))).toEqual(expected(release));
    await store.abandon();
  });
});

it('has a story in which every kind of event occurs (else: add it at the end of test/kit/release-story.ts)', () => {
  expect(missingKinds(releaseStory())).toEqual([]);
});

it('has a fixture of this version (else: node scripts/release-fixture.mjs)', () => {
  expect(existsSync(join(releasesFolder, version, 'database'))).toBe(true);
});

it('refuses a snapshot that a newer labrun has written, and says what to do', async () => {
  const folder = await laidOut(version);
  const database = await openDatabase(join(folder, 'log'));
  const body = Buffer.from(disk.Snapshot.encode(disk.Snapshot.fromPartial({ format: 99, seq: 9_999n })).finish());
  await database.put(snapshotKey(9_999), Buffer.from(disk.StoredSnapshot.encode({ body, crc: crc32c(body) }).finish()));
  await database.close();
  await expect(openStore(folder, { acceptLoss: true })).rejects.toThrow(
    'a newer labrun wrote it (format 99); upgrade this head',
  );
});

it('refuses an event that only a newer labrun knows, and loses nothing of it', async () => {
  const folder = scratchFolder();
  const database = await openDatabase(join(folder, 'log'));
  const whole = { format: 1, seq: 1n, atMs: 5n, actor: { kind: 'system', name: 'head' }, event: { event: undefined } };
  const body = Buffer.from(records.LogRecord.encode(records.LogRecord.fromPartial(whole)).finish());
  const previousHash = Buffer.alloc(16);
  const stored = records.StoredRecord.encode({ body, previousHash, crc: crc32c(previousHash, body) }).finish();
  await database.put(recordKey(1), Buffer.from(stored));
  await database.close();
  await expect(openStore(folder, { acceptLoss: true })).rejects.toThrow(
    /record 1 is of a kind that only a newer labrun knows; upgrade this head/,
  );
});
