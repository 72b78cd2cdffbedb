import { assert } from '../../base/assert.ts';
import { refused } from '../../base/errors.ts';
import { sameCapabilities } from './apply-node.ts';
import type { Command, Verdict } from './command.ts';
import { decideAccess } from './decide-access.ts';
import { decideArchive, decideLost, decideProgress, decideReturn } from './decide-attempt.ts';
import { decideChange, decideDelete, decideExtend, decideSubmit } from './decide-batch.ts';
import { decideDrain, decideUndrain } from './decide-drain.ts';
import { decideBuild, decideConnect, decideTick, decideTrouble, freeIfChanged } from './decide-node.ts';
import { decideRequeue, decideWish } from './decide-requeue.ts';
import { decideArchiveFound } from './decide-searched.ts';
import { decideShell } from './decide-shell.ts';
import { decideYield } from './decide-yield.ts';
import type { Event } from './event.ts';
import { decideRetire } from './retired.ts';
import type { ClusterState } from './state.ts';

/** What a command leads to, as events or a refusal. Says; never does. */
export function decide(state: ClusterState, command: Command, nowMs: number): Verdict {
  switch (command.kind) {
    case 'start-head':
      assert(state.clusterId === undefined || state.clusterId === command.clusterId, 'a log belongs to one cluster');
      return accepted({
        kind: 'head-started',
        epoch: state.epoch + 1,
        version: command.version,
        clusterId: command.clusterId,
      });
    case 'delete-batch':
      return decideDelete(state, command.batchId);
    case 'retire-batch':
      return decideRetire(state, command, nowMs);
    case 'find-archive':
      return decideArchiveFound(state, command);
    case 'note-searched':
      return accepted({ kind: 'archive-searched', found: command.found, message: command.message });
    case 'note-discarded':
      return state.batches.has(command.attempt.batchId) && state.nodes.has(command.nodeId)
        ? accepted({ kind: 'attempt-discarded', attempt: command.attempt, nodeId: command.nodeId })
        : accepted();
    case 'note-shell':
      return decideShell(state, command);
    case 'note-shortened':
      return accepted({ kind: 'log-shortened', how: command.how, message: command.message });
    case 'submit':
      return decideSubmit(state, command);
    case 'extend':
      return decideExtend(state, command);
    case 'cancel':
    case 'hold':
    case 'release':
    case 'retry':
      return decideChange(state, command);
    case 'requeue':
      return decideRequeue(state, command);
    case 'connect-node':
      return decideConnect(state, command, nowMs);
    case 'disconnect-node':
      return state.nodes.get(command.nodeId)?.connected
        ? accepted({ kind: 'node-disconnected', nodeId: command.nodeId })
        : accepted();
    case 'change-node': {
      const node = state.nodes.get(command.nodeId);
      if (!node) return refused('not-found', `Cannot note what node "${command.nodeId}" has: it has never said hello`);
      const same =
        sameCapabilities(node.facts, command.facts) && JSON.stringify(node.facts) === JSON.stringify(command.facts);
      return same
        ? accepted()
        : accepted(
            { kind: 'node-changed', nodeId: command.nodeId, facts: command.facts },
            ...freeIfChanged(state, command.nodeId, command.facts),
          );
    }
    case 'note-yield':
      return decideYield(state, command, nowMs);
    case 'wish-requeue':
      return decideWish(state, command);
    case 'drain-node':
      return decideDrain(state, command);
    case 'undrain-node':
      return decideUndrain(state, command);
    case 'trouble-node':
      return decideTrouble(state, command);
    case 'progress-attempt':
      return decideProgress(state, command, nowMs);
    case 'return-attempt':
      return decideReturn(state, command);
    case 'lose-attempt':
      return decideLost(state, command);
    case 'archive-staged':
      return decideArchive(state, command, nowMs);
    case 'report-build':
      return decideBuild(state, command);
    case 'tick':
      return decideTick(state, nowMs);
    default:
      return decideAccess(state, command, nowMs);
  }
}

/** A yes, with what follows from it. */
export function accepted(...events: readonly Event[]): Verdict {
  return { kind: 'accepted', events };
}
