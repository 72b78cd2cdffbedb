import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { version } from '../../../base/version.ts';
import { readDeskMemory } from '../../../node-agent/desk/desk-memory.ts';
import { recordOver } from '../../../node-agent/store/agent-record.ts';
import { GroupWriter } from '../../../node-agent/store/group-writer.ts';
import { type AgentFixture, meaningOfAttempts } from '../../kit/agent-release-fixture.ts';
import { releasesFolder } from '../../kit/release-fixture.ts';

const fixtureOf = (release: string) => join(releasesFolder, release, 'agent.json');
const releases = readdirSync(releasesFolder).filter((release) => existsSync(fixtureOf(release)));

it('has a fixture of this version (else: node scripts/release-fixture.mjs)', () => {
  expect(releases).toContain(version);
});

describe.each(releases)('the record that an agent of release %s has written', (release) => {
  const { entries, meaning, desk }: AgentFixture = JSON.parse(readFileSync(fixtureOf(release), 'utf8'));

  it('means the same today: every attempt is taken up as what it was', async () => {
    const record = await open(entries);
    // What later releases know besides has its default.
    expect(meaningOfAttempts(record.attempts)).toMatchObject(meaning as object[]); // one for each attempt
    expect(readDeskMemory(record.desk)).toMatchObject(desk as object); // one that remembers
    expect(record.nodeId).toBe(new Map(entries).get('node'));
    expect(record.clusterId).toBe(new Map(entries).get('cluster'));
    expect(record.bootId).toBe(new Map(entries).get('boot'));
    await record.close();
  });

  it('is refused when a newer one has gone on with it, and the sentence says what to do', async () => {
    const newer = [...entries.filter(([key]) => key !== 'format'), ['format', '2']] as const;
    await expect(open(newer)).rejects.toThrow(
      "Cannot use the agent's record: a newer labrun wrote it (format 2, this one reads 1); install that labrun again",
    );
  });
});

function open(entries: readonly (readonly [string, string])[]) {
  const writer = new GroupWriter(async () => {}, systemClock);
  const newNodeId = () => {
    throw new Error('the record has one');
  };
  return recordOver({ entries: new Map(entries), writer, newNodeId, close: async () => {} });
}
