import type { Pause } from '../presence/pauses.ts';

/** What the desk must still know after its agent was killed. */
export interface DeskMemory {
  readonly pauses: readonly Pause[];
  /** The owner's policy as written; empty where they have said nothing. */
  readonly policy: string;
  /** When somebody was there, as `presence/history.ts` writes it; empty in the beginning. */
  readonly history: string;
  /** Time that jobs were given in a week: cores times milliseconds, since that week's Monday. */
  readonly given: { readonly weekMs: number; readonly coreMs: number };
}

/** The layout of the text. */
const version = 1;

export const blankMemory: DeskMemory = { pauses: [], policy: '', history: '', given: { weekMs: 0, coreMs: 0 } };

/** As the record keeps it. */
export function writeDeskMemory(memory: DeskMemory): string {
  return JSON.stringify({ version, ...memory });
}

/** Reads what `writeDeskMemory` wrote; nothing for what it did not, or what a newer labrun wrote. */
export function readDeskMemory(text: string | undefined): DeskMemory | undefined {
  if (text === undefined) return blankMemory;
  try {
    const value: unknown = JSON.parse(text);
    const isOurs = typeof value === 'object' && value !== null && 'version' in value && value.version === version;
    return isOurs ? { ...blankMemory, ...(value as Partial<DeskMemory>) } : undefined; // written by writeDeskMemory into a checked database
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
