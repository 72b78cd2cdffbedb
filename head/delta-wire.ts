import { type Refusal, refused } from '../base/errors.ts';
import type { ClusterId } from '../base/ids.ts';
import type { AgentChange } from '../proto/gen/labrun/v1/agent_link.ts';
import { type BuildNews, type Report, readBuild, readInventory, readReport } from './agent-wire.ts';
import type { NodeFacts } from './scheduler/event.ts';
import type { ToldYield } from './scheduler/yielding.ts';
import { readWish, readYield, type Wish } from './yield-wire.ts';

/** What an agent has told at once, checked. */
export interface News {
  readonly reports: readonly Report[];
  readonly builds: readonly BuildNews[];
  readonly wishes: readonly Wish[];
  /** The last of what it said it has, and does for the person at its desk. */
  readonly facts: NodeFacts | undefined;
  readonly yielding: ToldYield | undefined;
}

/** Reads the changes of a delta. What cannot be read is left out, and handed to `refuse`. */
export function readChanges(
  changes: readonly AgentChange[],
  clusterId: ClusterId,
  refuse: (refusal: Refusal) => void,
): News {
  const reports: Report[] = [];
  const builds: BuildNews[] = [];
  const wishes: Wish[] = [];
  let facts: NodeFacts | undefined;
  let yielding: ToldYield | undefined;
  for (const { change } of changes) {
    const read = readChange(change, clusterId);
    if ('code' in read) refuse(read);
    else if ('phase' in read) reports.push(read);
    else if ('digest' in read) builds.push(read);
    else if ('wished' in read) wishes.push(read);
    else if ('step' in read) yielding = read;
    else facts = read;
  }
  return { reports, builds, wishes, facts, yielding };
}

function readChange(
  change: AgentChange['change'],
  clusterId: ClusterId,
): Report | BuildNews | Wish | ToldYield | NodeFacts | Refusal {
  switch (change?.$case) {
    case 'attempt':
      return readReport(change.value, clusterId);
    case 'build':
      return readBuild(change.value);
    case 'inventory':
      return readInventory(change.value);
    case 'yield':
      return readYield(change.value);
    case 'requeue':
      return readWish(change.value, clusterId);
    default:
      return refused('invalid', 'Cannot read what an agent tells: this head does not know that kind of change');
  }
}
