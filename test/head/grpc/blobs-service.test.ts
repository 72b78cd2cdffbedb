import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { callerMetadata } from '../../../base/channel/caller.ts';
import { readStream } from '../../../base/channel/streams.ts';
import { hashBytes } from '../../../base/transfer/hash.ts';
import { contentPath, holdPath } from '../../../head/archive/blobs.ts';
import { HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { aSpec } from '../../kit/spec.ts';

it('a node reads what its attempt needs, also where the namespace’s hold on it is gone; nobody else does', async () => {
  const world = await HeadWorld.open(scratchFolder());
  onTestFinished(() => world.close());
  const agent = await new LinkAgent(world.head.address, 'n1').connected();
  onTestFinished(() => agent.close());
  const input = Buffer.from('what it reads');
  const hash = hashBytes(input);
  await world.put('lab', input);
  await world.submit(
    aSpec({ sources: { mesh: [{ kind: 'file', path: '', hash, sizeBytes: input.length, mode: 0o644 }] } }),
  );
  await agent.hear('assign');
  rmSync(holdPath(join(world.folder, 'blobs'), 'lab', hash));
  const read = async (caller: Parameters<typeof callerMetadata>[0]) => {
    const parts: Buffer[] = [];
    const stream = world.blobs.get({ namespace: 'lab', hash, offset: 0n }, callerMetadata(caller));
    for await (const { data } of readStream(stream)) parts.push(data);
    return Buffer.concat(parts).toString();
  };
  expect(await read({ kind: 'node', name: agent.nodeId })).toBe('what it reads');
  await expect(read({ kind: 'user', name: 'lab' })).rejects.toThrow('has not put it');
});

it('an input that the disk has changed is moved aside when it is sent, and can be put again', async () => {
  const world = await HeadWorld.open(scratchFolder());
  onTestFinished(() => world.close());
  const input = Buffer.from('what it was');
  const hash = hashBytes(input);
  await world.put('lab', input);
  const path = contentPath(join(world.folder, 'blobs'), hash);
  chmodSync(path, 0o600);
  writeFileSync(path, 'what it IS!');
  const user = callerMetadata({ kind: 'user', name: 'lab' });
  const read = async () => {
    const parts: Buffer[] = [];
    for await (const { data } of readStream(world.blobs.get({ namespace: 'lab', hash, offset: 0n }, user)))
      parts.push(data);
    return Buffer.concat(parts).toString();
  };
  await expect(read()).rejects.toThrow(
    /was damaged on the head's disk and has been moved aside: submit its batch again/,
  );
  expect(existsSync(path)).toBe(false);
  await world.put('lab', input);
  expect(await read()).toBe('what it was');
});
