import type { Tally } from './tally.ts';
import { type WeatherName, weatherOf, weathers } from './weather.ts';
import { World } from './world.ts';

/** How a world went. */
export interface WorldResult {
  readonly seed: number;
  /** What went wrong; nothing in a world whose promises were kept. */
  readonly violations: readonly string[];
  /** What had happened, oldest first. */
  readonly story: readonly string[];
  /** How often a head, an agent or a machine went down. */
  readonly crashes: number;
  /** How often what happened. */
  readonly tally: Tally;
  /** Attempts that were started. */
  readonly starts: number;
  readonly simulatedMs: number;
}

/** How often the invariants of the state are checked, in steps: they look at every job. */
const deepEvery = 500;

/** Lets a world happen to its end, or until a promise is broken. */
export async function runWorld(seed: number, weather: WeatherName = weatherOf(seed)): Promise<WorldResult> {
  const world = new World(seed, weathers[weather]);
  let violations: readonly string[] = [];
  for (let steps = 1; violations.length === 0 && (await world.step()); steps++) {
    violations = steps % deepEvery === 0 ? world.deepViolations() : world.violations();
  }
  if (violations.length === 0) violations = world.endViolations();
  return {
    seed,
    violations,
    story: world.story,
    crashes: world.crashes,
    tally: world.tally,
    starts: world.starts,
    simulatedMs: world.time.nowMs,
  };
}
