import { expect, it, onTestFinished } from 'vitest';
import { HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

async function aWorld(settings = ''): Promise<LinkAgent> {
  const world = await HeadWorld.open(scratchFolder(), settings);
  const agent = await new LinkAgent(world.head.address, 'n1').connected();
  onTestFinished(async () => {
    agent.close();
    await world.close();
  });
  return agent;
}

it('an agent is granted the lease of the settings, and hears at once that its heartbeats have arrived', async () => {
  const agent = await aWorld('lease: 45s\nheartbeat: 10s\n');
  expect(agent.welcome).toMatchObject({ leaseMs: 45_000n, heartbeatMs: 10_000n, features: ['heartbeat.echo'] });
  await agent.beat(7n);
  await agent.beat(123_456_789n);
  expect(agent.echoes).toEqual([7n, 123_456_789n]);
});

it('a lease shorter than the time in which silence is noticed is refused', async () => {
  await expect(HeadWorld.open(scratchFolder(), 'lease: 20s\n')).rejects.toThrow('lease: expected a time between 30s');
});
