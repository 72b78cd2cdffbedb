import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openClient } from '../../../base/channel/client.ts';
import { listen, makeServer } from '../../../base/channel/server.ts';
import { PutStream } from '../../../node-agent/uplink/put-stream.ts';
import { ArchiveClient, type ArchiveServer, ArchiveService } from '../../../proto/gen/labrun/v1/archive.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

it('tells whoever waits to write that the line broke, as something that will pass', async () => {
  const server = makeServer();
  const nobodyReads: ArchiveServer = {
    put: (call) => void call.on('error', () => undefined),
    staged: (call) => call.end(),
    list: (call) => call.end(),
    read: (call) => call.end(),
    log: (call) => call.end(),
  };
  server.addService(ArchiveService, nobodyReads);
  const path = join(scratchFolder(), 'head.sock');
  await listen(server, { kind: 'unix', path });
  const client = openClient(ArchiveClient, { kind: 'unix', path }, 'bulk');
  onTestFinished(() => {
    client.close();
    server.forceShutdown();
  });
  const stream = new PutStream(client.put());
  const data = Buffer.alloc(2 ** 18);
  const chunk = { target: undefined, path: 'archive/a', offset: 0n, data, truncate: false, finalHash: '' };
  let written = 0;
  const write = async () => {
    for (; written < 64; written++) await stream.write(chunk);
  };
  const writing = write();
  writing.catch(() => undefined); // looked at below
  const later = stream.write(chunk);
  later.catch(() => undefined); // looked at below
  const told = new Promise<Error>((resolve) => {
    stream.listen(
      { $case: 'build', value: { batchId: '' } },
      '',
      () => undefined,
      (error) => {
        resolve(error);
      },
    );
  });
  // What the line and both ends hold is less than there is to write: somebody waits for room by now, or soon.
  await until('the window fills up', () => written >= 4);
  server.forceShutdown();
  await expect(writing).rejects.toMatchObject({ name: 'Fault', code: 'link' });
  expect(await told).toMatchObject({ code: 'link' });
  await expect(stream.write(chunk)).rejects.toMatchObject({ code: 'link' });
  expect(stream.broken).toBe(true);
});
