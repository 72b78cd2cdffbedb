/** The code of the `Fault` that says the wrong one answers: it will not pass by dialling faster, but may pass. */
export const strangerCode = 'stranger';

/** What TLS says, and what it means for people. The first that fits counts. */
const meanings: readonly (readonly [RegExp, string])[] = [
  [
    /wrong version number|packet length too long|record layer failure|unexpected message|http request/i,
    'what answers there does not speak TLS: it is another program, or a head that was started with --plain; check the address',
  ],
  [
    /alert protocol version|unsupported protocol|no protocols available/i,
    'what answers there does not speak TLS 1.3: it is no head of labrun; check the address',
  ],
  [
    /certificate has expired/i,
    "the head's certificate has expired by this machine's clock; compare both machines' clocks, and start the head again",
  ],
  [
    /certificate is not yet valid/i,
    "the head's certificate is not valid yet by this machine's clock; compare both machines' clocks",
  ],
  [
    /self.signed certificate|unable to (verify|get)|certificate signature failure|unsuitable certificate|invalid ca certificate|is not the head of this cluster/i,
    'what answers there is not the head of this cluster; check the address, and if the cluster was made anew, log in or join again with a new token',
  ],
];

/** What is wrong with the other end, from the words in which TLS complained; nothing when it did not. */
export function tlsTrouble(words: string): string | undefined {
  return meanings.find(([said]) => said.test(words))?.[1];
}
