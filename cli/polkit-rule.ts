/** Where polkit looks for an admin's rules. Only where it is there is polkit. */
export const polkitRules = '/etc/polkit-1/rules.d';

/** The rule of ours. */
export const polkitRulePath = `${polkitRules}/50-labrun.rules`;

/**
 * Lets an agent's account keep its machine awake while a job runs: logind asks polkit, which by itself allows that to
 * people at the machine alone (to delay sleep for a moment is allowed to all). The language is JavaScript of 2009, which
 * is what polkit's engines have in common.
 */
export function polkitRuleText(account: string): string {
  return [
    '// Written by "labrun agent install", which writes it again.',
    'polkit.addRule(function (action, subject) {',
    '  var blocksSleep = action.id === "org.freedesktop.login1.inhibit-block-sleep";',
    `  if (blocksSleep && subject.user === ${JSON.stringify(account)}) return polkit.Result.YES;`,
    '});',
    '',
  ].join('\n');
}
