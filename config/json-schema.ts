import { z } from 'zod';
import { agentFile } from './agent.ts';
import { distributeFile } from './batch/distribute-file.ts';
import { labrunFile } from './batch/labrun-file.ts';
import { headFile } from './head.ts';

/** For editors: what may be written in `labrun.yaml`. */
export function labrunSchema(): object {
  return schemaOf(labrunFile, 'labrun.yaml: a batch of jobs');
}

/** For editors: what may be written in `distribute-jobs.yaml`. */
export function distributeSchema(): object {
  return schemaOf(distributeFile, 'distribute-jobs.yaml: a batch of jobs for distribute or labrun');
}

/** For editors: what may be written in `agent.yaml`. */
export function agentSchema(): object {
  return schemaOf(agentFile, "agent.yaml: a workstation's agent");
}

/** For editors: what may be written in `head.yaml`. */
export function headSchema(): object {
  return schemaOf(headFile, 'head.yaml: the head');
}

/** Made from the readers themselves, so that they cannot disagree. */
function schemaOf(schema: z.ZodType, title: string): object {
  return { ...z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }), title };
}
