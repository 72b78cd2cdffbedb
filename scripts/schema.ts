/** The JSON Schemas that the build writes beside the program, by name. */
export function schemas(): Record<string, object> {
  return {};
}
