import { Coverage } from '../coverage.ts';

/**
 * Preloaded into the head that is fuzzed: answers each message of the fuzzer's with how many blocks have run that never
 * had before, and how many have in all.
 */
const coverage = new Coverage();
coverage.start();
process.on('message', () => process.send?.({ fresh: coverage.take(), blocks: coverage.blocks }));
// The head ends when it has closed; this channel is not its own.
process.channel?.unref();
