import { parseArgs } from 'node:util';
import { runWorld } from './run-world.ts';
import { Tally } from './tally.ts';
import { type WeatherName, weathers } from './weather.ts';

/**
 * `npm run sim -- --seeds N --minutes M [--first SEED] [--weather NAME]`: lets worlds happen, one seed after the other, until so many
 * have, or the time is up. A broken promise ends in exit status 1 and the command that shows it again.
 */
async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { seeds: text, minutes: text, first: text, weather: text, story: { type: 'boolean' } },
  });
  const seeds = Number(values.seeds ?? 100);
  const minutes = Number(values.minutes ?? 60);
  const first = Number(values.first ?? 1);
  if (!(seeds > 0 && minutes > 0 && Number.isInteger(first)))
    throw new Error('usage: npm run sim -- [--seeds N] [--minutes M] [--first SEED] [--weather NAME] [--story]');
  const weather = readWeather(values.weather);
  const endMs = performance.now() + minutes * 60_000;
  let worlds = 0;
  let crashes = 0;
  let starts = 0;
  let simulatedMs = 0;
  const tally = new Tally();
  for (let seed = first; seed < first + seeds && performance.now() < endMs; seed++) {
    const result = await runWorld(seed, weather);
    worlds += 1;
    crashes += result.crashes;
    starts += result.starts;
    simulatedMs += result.simulatedMs;
    tally.add(result.tally);
    if (values.story) for (const line of result.story) print(line);
    if (result.violations.length === 0) continue;
    print(`world ${seed} broke its promises:`);
    for (const violation of result.violations.slice(0, 20)) print(`  ${violation}`);
    const given = weather === undefined ? '' : ` --weather ${weather}`;
    print(`see it again: npm run sim -- --first ${seed} --seeds 1${given} --story`);
    process.exitCode = 1;
    return;
  }
  print(`what happened: ${tally.text()}`);
  if (tally.missing.length > 0) print(`never happened: ${tally.missing.join(', ')}`);
  const hours = Math.round(simulatedMs / 3_600_000);
  print(`${worlds} worlds, ${hours} simulated hours, ${starts} jobs started, ${crashes} crashes: every promise kept`);
}

function readWeather(text: string | undefined): WeatherName | undefined {
  if (text === undefined) return undefined;
  const names = Object.keys(weathers) as WeatherName[]; // its keys are its names
  const name = names.find((known) => known === text);
  if (name === undefined) throw new Error(`no weather is called "${text}": there are ${names.join(', ')}`);
  return name;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main();
