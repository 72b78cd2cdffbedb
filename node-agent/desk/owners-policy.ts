import { messageOf, type Refusal, refused } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import type { DeskSetting } from '../../config/agent.ts';
import { type DeskPolicy, policyMaxLength, readDeskPolicy } from '../../config/desk-policy.ts';

/** Why nobody may change the policy; nothing where its owner may. */
export function fixedPolicy({ policyIsFixed }: DeskSetting): Refusal | undefined {
  if (!policyIsFixed) return undefined;
  return refused('denied', 'Cannot change the policy of this machine: its admin has fixed it in agent.yaml');
}

/** Why this text of an owner cannot be their policy; nothing when it can. Empty text is the default again. */
export function policyProblem(settings: DeskSetting, text: string): Refusal | undefined {
  const fixed = fixedPolicy(settings);
  if (fixed) return fixed;
  if (text.length > policyMaxLength)
    return refused('limit', `Cannot take a policy of over ${policyMaxLength} characters`);
  try {
    readDeskPolicy('policy', text);
  } catch (error) {
    return refused('invalid', messageOf(error));
  }
  return undefined;
}

/** What holds: the text of its owner, or what the machine's settings say where that is empty or the admin has fixed it. */
export function policyInForce({ policy, policyIsFixed }: DeskSetting, text: string, log: Log): DeskPolicy {
  if (policyIsFixed || text === '') return policy;
  try {
    return readDeskPolicy('policy', text);
  } catch (error) {
    log.error({ error: messageOf(error) }, "the owner's policy cannot be read any more; the machine's holds");
    return policy;
  }
}
