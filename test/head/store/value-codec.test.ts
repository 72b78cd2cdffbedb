import { expect, it } from 'vitest';
import { decodeFacts, encodeFacts } from '../../../head/store/value-codec.ts';
import * as disk from '../../../proto/gen/labrun/store/v1/log.ts';
import { someFacts } from '../../kit/state.ts';

const written = (facts: disk.NodeFacts) => disk.NodeFacts.decode(disk.NodeFacts.encode(facts).finish());

it("keeps all of a machine's facts", () => {
  const facts = someFacts({ capabilities: { bubblewrap: '0.8.0' }, gpus: 2, jobsAccount: 'jobs', agentIsRoot: true });
  expect(decodeFacts(written(encodeFacts(facts)))).toEqual(facts);
});

it('reads facts of a time when agents did not say as whom jobs run', () => {
  const { jobsAccount: _, agentIsRoot: __, ...older } = encodeFacts(someFacts());
  expect(decodeFacts(written(disk.NodeFacts.fromPartial(older)))).toMatchObject({
    jobsAccount: '',
    agentIsRoot: false,
  });
});
