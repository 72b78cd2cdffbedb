import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { expect, it, onTestFinished } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { openClient } from '../../base/channel/client.ts';
import { closeServer, listen, makeServer } from '../../base/channel/server.ts';
import { type ContentHash, hashBytes } from '../../base/transfer/hash.ts';
import { type BlobStore, type Content, upload } from '../../cli/upload.ts';
import { hashSource } from '../../config/batch/hash-source.ts';
import { BlobsClient, type BlobsServer, BlobsService } from '../../proto/gen/labrun/v1/blobs.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';

const silent = { update: () => undefined, stop: () => undefined };

/** A store that lacks everything, and what has arrived there. */
async function aStore(folder: string): Promise<{ store: BlobStore; arrived: Map<string, Buffer> }> {
  const arrived = new Map<string, Buffer>();
  const store = await aDoor(folder, {
    missing: ({ request }, answer) => {
      const lacking = request.hashes.filter((hash) => !arrived.has(hash));
      answer(null, { missing: lacking.map((hash) => ({ hash, offset: 0n })) });
    },
    put: (stream, answer) => {
      const parts = new Map<string, Buffer[]>();
      stream.on('data', ({ hash, data }) => parts.set(hash, [...(parts.get(hash) ?? []), data]));
      stream.on('end', () => {
        for (const [hash, data] of parts) arrived.set(hash, Buffer.concat(data));
        answer(null, { stored: [...parts.keys()] });
      });
    },
  });
  return { store, arrived };
}

/** Whatever answers uploads as it is told. */
async function aDoor(folder: string, blobs: Partial<BlobsServer>): Promise<BlobStore> {
  const server = makeServer();
  server.addService(BlobsService, { get: () => undefined, ...blobs });
  const path = join(folder, `s${doors++}`);
  await listen(server, { kind: 'unix', path });
  const client = openClient<BlobsClient>(BlobsClient, { kind: 'unix', path }, 'bulk');
  onTestFinished(async () => {
    client.close();
    await closeServer(server, 100);
  });
  return { blobs: client, metadata: callerMetadata({ kind: 'user', name: 'kim' }) };
}

let doors = 0;

async function aFile(folder: string): Promise<{ path: string; contents: Map<ContentHash, Content> }> {
  const path = join(folder, 'mesh.dat');
  writeFileSync(path, 'mesh'.repeat(1_000));
  const hashed = await hashSource(path, 'mesh.dat', () => undefined, undefined);
  return { path, contents: new Map([[hashed.hash, { kind: 'file', ...hashed }]]) };
}

it('uploads what was hashed, through a link if it is one, and also when another file has since taken its name', async () => {
  const folder = scratchFolder();
  const { store, arrived } = await aStore(folder);
  const { path, contents } = await aFile(folder);
  renameSync(path, join(folder, 'elsewhere'));
  symlinkSync(join(folder, 'elsewhere'), path);
  await upload(store, 'lab', contents, {
    ...silent,
    update: () => {
      // What was opened is read to its end.
      rmSync(path, { force: true });
    },
  });
  expect([...arrived]).toEqual([[hashBytes('mesh'.repeat(1_000)), Buffer.from('mesh'.repeat(1_000))]]);
});

const inItsPlace: Record<string, { put(path: string): void; says: RegExp }> = {
  'a FIFO': { put: (path) => execFileSync('mkfifo', [path]), says: /mesh\.dat": it is a FIFO, no file; submit again/ },
  'a link to a device': { put: (path) => symlinkSync('/dev/zero', path), says: /mesh\.dat": it is a device, no file/ },
  nothing: { put: () => undefined, says: /mesh\.dat": ENOENT/ },
  'a file that grew': { put: (path) => writeFileSync(path, 'mesh'.repeat(1_001)), says: /mesh\.dat": it has changed/ },
  'a file of that size, written later': {
    put: (path) => writeFileSync(path, 'MESH'.repeat(1_000)),
    says: /mesh\.dat": it has changed/,
  },
};

it.each(Object.entries(inItsPlace))(
  'refuses %s in the place of a file that was hashed, without waiting',
  async (_, { put, says }) => {
    const folder = scratchFolder();
    const { store, arrived } = await aStore(folder);
    const { path, contents } = await aFile(folder);
    const { mtimeMs } = statSync(path);
    rmSync(path);
    put(path);
    expect(statSync(path, { throwIfNoEntry: false })?.mtimeMs).not.toBe(mtimeMs);
    await expect(upload(store, 'lab', contents, silent)).rejects.toThrow(says);
    expect(arrived.size).toBe(0);
  },
  20_000,
);

it('goes on after the head was away, and does not wait for one that never answered', async () => {
  const folder = scratchFolder();
  const { path, contents } = await aFile(folder);
  const { length } = readFileSync(path);
  const here: Buffer[] = [];
  const begun = () => here.reduce((sum, { length: bytes }) => sum + bytes, 0);
  const away = { code: status.UNAVAILABLE, details: 'the head is away' };
  // It breaks after what it took, is away for the next question, and is back for the one after.
  let questions = 0;
  const store = await aDoor(folder, {
    missing: ({ request }, answer) => {
      questions += 1;
      if (questions === 2) answer(away, null);
      else
        answer(null, {
          missing: begun() === length ? [] : [{ hash: request.hashes[0] ?? '', offset: BigInt(begun()) }],
        });
    },
    put: (stream, answer) => {
      stream.on('data', ({ data, offset }) => {
        expect(Number(offset)).toBe(begun());
        here.push(here.length === 0 ? data.subarray(0, 100) : data);
        if (here.length === 1) answer(away, null);
      });
      stream.on('end', () => answer(null, { stored: [] }));
    },
  });
  expect(await upload(store, 'lab', contents, silent)).toEqual({ sentBytes: length, sentFiles: 1 });
  expect([Buffer.concat(here).equals(readFileSync(path)), questions]).toEqual([true, 4]);
  const gone = await aDoor(folder, { missing: (_, answer) => answer(away, null) });
  await expect(upload(gone, 'lab', contents, silent)).rejects.toThrow('the head is away');
});

it('refuses a file that changes while it is sent', async () => {
  const folder = scratchFolder();
  const { store } = await aStore(folder);
  const { path, contents } = await aFile(folder);
  const shorten = () => truncateSync(path, 10);
  await expect(upload(store, 'lab', contents, { ...silent, update: shorten })).rejects.toThrow('it has changed');
});
