/** A result in the archive: which attempt of its job it is of, and the hash of its manifest, where it has one. */
export interface ResultFacts {
  readonly attempt: number;
  readonly manifestHash: string | undefined;
}

/**
 * What is to be done with an accepted result: nothing (it is there), put it into the job's free folder, put it into the
 * place of the one that is there, which goes to the earlier attempts (with its hash in its name where it is of an end that
 * the log has lost), or put it to the earlier attempts itself.
 */
export type PlaceOfResult = 'there' | 'free' | 'in its place' | 'in place of a lost one' | 'earlier';

/** Decides it. `lastGiven`: the highest number that the log has given to an attempt of the job. */
export function placeOfResult(
  accepted: ResultFacts,
  there: ResultFacts | 'none' | 'foreign',
  lastGiven: number,
): PlaceOfResult {
  if (there === 'none') return 'free';
  if (there === 'foreign') return 'earlier';
  if (there.attempt === accepted.attempt) {
    const isSame = there.manifestHash === undefined || there.manifestHash === accepted.manifestHash;
    return isSame ? 'there' : 'in place of a lost one';
  }
  if (there.attempt < accepted.attempt) return 'in its place';
  // What this log has never given was accepted in an end that it has lost: the job ended otherwise since.
  return there.attempt > lastGiven ? 'in place of a lost one' : 'earlier';
}
