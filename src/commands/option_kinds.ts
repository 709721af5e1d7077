/** The kinds of options: for each, how its text is parsed. Each takes what `--help` says of the option. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import type { Given, Help, Option } from './option_table.js';

/** An option with a value, given at most once. */
export function textOption<Value>(
  help: Help,
  parse: (text: string, name: string) => Value,
): Option<Value> {
  // Without a yargs type, numbers stay the text that a message can quote, and `--help` does not call them strings.
  return {
    help: { requiresArg: true, ...help },
    parse: (given, name) => parse(String(single(given, name)), name),
  };
}

export function text(help: Help): Option<string> {
  return textOption(help, (given) => given);
}

/** A file or a folder. */
export function path(help: Help): Option<string> {
  return textOption(help, expandHome);
}

/** Several files or folders, given as positional arguments. */
export function paths(help: Help): Option<string[]> {
  return { help, parse: (given) => list(given).map(expandHome) };
}

/** Text of an option that may be repeated. */
export function texts(help: Help): Option<string[]> {
  return { help: { requiresArg: true, ...help }, parse: list };
}

/** Words with commas between them. */
export function words(help: Help): Option<string[]> {
  return textOption(help, (given) => given.split(','));
}

/** A switch. */
export function flag(help: Help): Option<boolean> {
  return {
    help: { type: 'boolean', ...help },
    parse: (given, name) => single(given, name) === true,
  };
}

/** One of a few words. */
export function choice<const Value extends string>(
  choices: readonly Value[],
  help: Help,
): Option<Value> {
  // yargs has refused all other words.
  return textOption({ choices, ...help }, (given) => given as Value);
}

/** @param least the smallest number that is allowed */
export function wholeNumber(least: number, help: Help): Option<number> {
  return textOption(help, (given, name) => parseWholeNumber(given, name, least));
}

export function positiveNumber(help: Help): Option<number> {
  return textOption(help, (given, name) => {
    const number = Number(given);
    if (Number.isFinite(number) && number > 0) return number;
    throw new UserError(`--${name} must be a number above 0; it is "${given}"`);
  });
}

/** A number from 0 on; fractions are allowed. */
export function numberFromZero(help: Help): Option<number> {
  return textOption(help, (given, name) => {
    const number = Number(given);
    if (given.trim() !== '' && Number.isFinite(number) && number >= 0) return number;
    throw new UserError(`--${name} must be a number, at least 0; it is "${given}"`);
  });
}

/** A number from 0 to 1. */
export function share(help: Help): Option<number> {
  return textOption(help, (given, name) => {
    const number = Number(given);
    if (given.trim() !== '' && number >= 0 && number <= 1) return number;
    throw new UserError(`--${name} must be a number from 0 to 1; it is "${given}"`);
  });
}

/** A port of this machine; `byDefault` if the option is given without a value. */
export function port(byDefault: number, help: Help): Option<number> {
  return {
    help,
    parse: (given, name) => {
      const text = single(given, name);
      if (text === true || text === '') return byDefault;
      const number = parseWholeNumber(String(text), name, 0);
      if (number <= 65535) return number;
      throw new UserError(`--${name} ${number}: ports end at 65535`);
    },
  };
}

/** @throws UserError that names the option, what it takes and what was given */
export function parseWholeNumber(given: string, name: string, least: number): number {
  const number = Number(given);
  if (given.trim() !== '' && Number.isSafeInteger(number) && number >= least) return number;
  throw new UserError(`--${name} must be a whole number, at least ${least}; it is "${given}"`);
}

function single(given: Given, name: string): string | boolean {
  if (!Array.isArray(given)) return given;
  throw new UserError(`--${name} is given more than once; give it once`);
}

function list(given: Given): string[] {
  return [given].flat().map(String);
}

/** Shells leave the `~` of `--out=~/runs/a` as it is. */
function expandHome(given: string): string {
  return given === '~' || given.startsWith('~/') ? join(homedir(), given.slice(1)) : given;
}
