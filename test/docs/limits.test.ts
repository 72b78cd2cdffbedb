import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import {
  callsPerConnectionMax,
  connectionsMax,
  connectionsPerAddressMax,
  handshakeMs,
  messageMaxBytes,
} from '../../base/channel/limits.ts';
import { manifestEntriesMax } from '../../base/transfer/manifest.ts';
import { formatBytes, formatDuration } from '../../config/units.ts';
import { commandsMax } from '../../head/dispatch/session.ts';
import { inboxMax } from '../../head/engine.ts';
import { blobMaxBytes } from '../../head/grpc/blobs-service.ts';
import { callLimits } from '../../head/grpc/call-limits.ts';
import { pageMax } from '../../head/grpc/events-service.ts';
import { shellsPerNodeMax } from '../../head/grpc/shell-rooms.ts';
import { silenceMaxMs } from '../../head/grpc/silence.ts';
import {
  buildsPerNodeMax,
  exclusionsMax,
  jobsMax,
  namespacesPerUserMax,
  openBatchesMax,
  openBatchesPerUserMax,
  openJobsMax,
  openJobsPerUserMax,
  tokensMax,
  usersMax,
} from '../../head/scheduler/limits.ts';

const page = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'docs', 'limits.md');

/** What the table has to say: of one, and in all. */
const limits: Readonly<Record<string, readonly [string | number, string | number]>> = {
  connections: [`${connectionsPerAddressMax} (address)`, connectionsMax],
  'TLS handshake': [formatDuration(handshakeMs).replace('.0s', ' s'), ''],
  message: [formatBytes(messageMaxBytes).replace('.0', ''), ''],
  'calls under way on one connection, headers alone included': [callsPerConnectionMax, ''],
  'calls under way': [`${callLimits.unary.perCaller} (caller)`, callLimits.unary.inAll],
  'uploads of inputs under way': [`${callLimits.upload.perCaller} (caller)`, callLimits.upload.inAll],
  'silence of an upload of inputs': [`${silenceMaxMs / 60_000} min`, ''],
  "streams under way: events, logs, watches, pulls, agents' own": [
    `${callLimits.stream.perCaller} (caller)`,
    callLimits.stream.inAll,
  ],
  "requests that wait for the head's next write": [`${commandsMax} (node)`, inboxMax],
  'terminals open at once': [`${shellsPerNodeMax} (node)`, ''],
  'events held for a subscriber': [pageMax, ''],
  'batches that have not ended': [`${openBatchesPerUserMax} (user)`, openBatchesMax],
  'jobs that have not ended': [`${openJobsPerUserMax} (user)`, openJobsMax],
  jobs: [`${jobsMax} (batch)`, ''],
  'jobs kept from a node each, by `requeue --not-on`': [`${exclusionsMax} (batch)`, ''],
  namespaces: [`${namespacesPerUserMax} (user)`, ''],
  'one input file': [formatBytes(blobMaxBytes).replace('.0', ''), ''],
  'files an attempt keeps': [manifestEntriesMax, ''],
  'builds a node tells of': [buildsPerNodeMax, ''],
  'join tokens not used up': ['', tokensMax],
  users: ['', usersMax],
};

it('says every limit as the code has it', () => {
  const [, table = ''] = /\n\|---\|---\|---\|---\|\n([\s\S]*?)\n\n/.exec(readFileSync(page, 'utf8')) ?? [];
  const told = table.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
  expect(Object.fromEntries(told.map(([, what = '', one = '', all = '']) => [what, [one, all]]))).toEqual(
    Object.fromEntries(Object.entries(limits).map(([what, [one, all]]) => [what, [String(one), String(all)]])),
  );
});
