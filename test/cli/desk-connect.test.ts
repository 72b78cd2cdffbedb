import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { deskState, withDesk } from '../../cli/desk-connect.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';

it('an agent that does not answer is not waited for', async () => {
  const data = scratchFolder();
  mkdirSync(join(data, 'desk', 'proofs'), { recursive: true });
  // The kernel takes calls for an agent that has been stopped.
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(join(data, 'desk', 'socket'), resolve));
  onTestFinished(() => void silent.close());
  const asked = withDesk({ data }, (desk) => deskState(desk, 300));
  await expect(asked).rejects.toThrow(`Cannot reach the agent in "${data}": it is there and does not answer`);
});
