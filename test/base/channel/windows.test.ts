import { connect } from 'node:http2';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { serverWindowBytes } from '../../../base/channel/limits.ts';
import { listen, makeServer } from '../../../base/channel/server.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

it('lets a caller send as much ahead as the limits say, in one call and on the whole connection', async () => {
  const server = makeServer();
  const path = join(scratchFolder(), 'head.sock');
  await listen(server, { kind: 'unix', path });
  const session = connect('http://localhost', { path });
  onTestFinished(() => {
    session.destroy();
    server.forceShutdown();
  });
  await until('the window of a call is known', () => session.remoteSettings.initialWindowSize === serverWindowBytes);
  await until('the window of the connection is known', () => session.state.remoteWindowSize === serverWindowBytes);
  expect(session.remoteSettings.maxConcurrentStreams).toBe(1_024);
});
