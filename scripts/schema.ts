import { agentSchema, distributeSchema, headSchema, labrunSchema } from '../config/json-schema.ts';

/** The JSON Schemas that the build writes beside the program, by name. */
export function schemas(): Record<string, object> {
  return { labrun: labrunSchema(), 'distribute-jobs': distributeSchema(), agent: agentSchema(), head: headSchema() };
}
