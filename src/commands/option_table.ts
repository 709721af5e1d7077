/**
 * How a command declares its options: each one once, in a table.
 *
 *     const options = {
 *       steps: wholeNumber(1, { describe: 'Timed steps per placement (default 10)' }),
 *       learningRate: positiveNumber({ name: 'lr', describe: 'Learning rate' }),
 *       json: flag({ describe: 'Print one JSON object' }),
 *     };
 *
 * From the table come what yargs must know and the values that the command receives, here
 * `{ steps?: number; learningRate?: number; json?: boolean }`. The keys are the library's fields, so that a
 * command passes its values on as they are. On the command line an option has its key's name in kebab case
 * (`testLimit` is `--test-limit`), or the `name` that it is given.
 */
import type { CommandModule, Options } from 'yargs';

/** How yargs hands over an option: as text, `true` if it has no value, an array if it is repeated. */
export type Given = string | boolean | (string | boolean)[];

export interface Option<Value> {
  /** What `--help` prints and yargs checks. */
  help: Help;
  /**
   * @param name the option's, without the dashes
   * @throws UserError that names the option, what it takes and what was given
   */
  parse: (given: Given, name: string) => Value;
}

export type Help = Options & { name?: string };
export type OptionTable = Record<string, Option<unknown>>;

/** The parsed values of all options of a table. */
export type Values<Table extends OptionTable> = {
  [Key in keyof Table]: Table[Key] extends Option<infer Value> ? Value : never;
};

/** What was typed, as yargs read it. */
export type Typed = Record<string, unknown>;

/** A command, its positional arguments and options declared as tables. */
export function defineCommand<
  Table extends OptionTable,
  Positionals extends OptionTable = Record<never, never>,
>(definition: {
  /** Such as `predict <run> <files..>`. */
  command: string;
  /** The keys are the names in `command`. */
  positionals?: Positionals;
  options: Table;
  /** Command lines, and what each one does. */
  examples: [line: string, does: string][];
  run: (values: Values<Positionals> & Partial<Values<Table>>, typed: Typed) => void | Promise<void>;
}): CommandModule {
  const { command, options, examples, run } = definition;
  const positionals: OptionTable = definition.positionals ?? {};
  return {
    command,
    builder: (line) => {
      for (const [name, { help }] of Object.entries(positionals)) {
        const { describe, choices } = help;
        line.positional(name, { type: 'string', demandOption: true, describe, choices });
      }
      for (const [key, option] of Object.entries(options)) {
        line.option(nameOf(key, option), option.help);
      }
      for (const [example, does] of examples) line.example(`$0 ${example}`, does);
      return line;
    },
    handler: (typed) => {
      // yargs has demanded the positional arguments.
      const values = { ...parsed(positionals, typed), ...parsed(options, typed) };
      return run(values as Values<Positionals> & Partial<Values<Table>>, typed);
    },
  };
}

/**
 * The values of the options that were given.
 * @throws UserError as the options' parsers do
 */
export function parsed<Table extends OptionTable>(
  table: Table,
  typed: Typed,
): Partial<Values<Table>> {
  const values = Object.entries(table).flatMap(([key, option]) => {
    const name = nameOf(key, option);
    const given = typed[name] as Given | undefined;
    return given === undefined ? [] : [[key, option.parse(given, name)]];
  });
  return Object.fromEntries(values) as Partial<Values<Table>>;
}

/** The options of a table that were given, as words of a command line. */
export function wordsOf(table: OptionTable, typed: Typed): string[] {
  return Object.entries(table).flatMap(([key, option]) => {
    const name = nameOf(key, option);
    const given = typed[name];
    if (given === undefined || given === false) return [];
    return typeof given === 'string' && given !== '' ? [`--${name}`, given] : [`--${name}`];
  });
}

/** @returns the option's name on the command line */
function nameOf(key: string, { help }: Option<unknown>): string {
  return help.name ?? key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
