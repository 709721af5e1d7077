import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite, test } from 'node:test';
import ts from 'typescript';
import { anchorsOf, linksOf, PAGES, readPage, ROOT } from './markdown.js';

/** Names declared at the top of a file, and members of its classes as `Class.member`. */
function namesDeclaredIn(file: string): Set<string> {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest);
  const names = new Set<string>();
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) {
        if (ts.isIdentifier(name)) names.add(name.text);
      }
    } else if (ts.isFunctionDeclaration(statement) || ts.isInterfaceDeclaration(statement)) {
      if (statement.name !== undefined) names.add(statement.name.text);
    } else if (ts.isClassDeclaration(statement) && statement.name !== undefined) {
      names.add(statement.name.text);
      for (const { name } of statement.members) {
        if (name !== undefined && ts.isIdentifier(name)) {
          names.add(`${statement.name.text}.${name.text}`);
        }
      }
    }
  }
  return names;
}

suite('links of the pages', () => {
  for (const page of PAGES) {
    test(`${page}: files, headings and names that it links to exist`, () => {
      const missing = linksOf(readPage(page)).flatMap(({ text, file, anchor }) => {
        const target = file === '' ? page : join(dirname(page), file);
        const path = join(ROOT, target);
        if (!existsSync(path)) return [`${target} does not exist`];
        if (anchor !== '' && !anchorsOf(readPage(target)).includes(anchor)) {
          return [`${target} has no heading #${anchor}`];
        }
        const [, name] = /^`([\w.]+)`$/.exec(text) ?? [];
        const isNamed = name !== undefined && target.endsWith('.ts');
        if (isNamed && !namesDeclaredIn(path).has(name)) {
          return [`${target} declares no ${name}`];
        }
        return [];
      });
      assert.deepEqual(missing, []);
    });

    test(`${page}: files that it names exist`, () => {
      const named = readPage(page).matchAll(
        /`((?:src|workers|native|test|scripts|config|docs)\/[\w/.]+\.\w+)`/g,
      );
      const missing = [...named]
        .map(([, file]) => file!)
        .filter((file) => !existsSync(join(ROOT, file)));
      assert.deepEqual(missing, []);
    });
  }
});

test('the tests that prove what can be relied on exist', () => {
  const named = readPage('docs/reliability.md').matchAll(/`([a-z]+\/[a-z_\d]+)`/g);
  const tests = [...named].map(([, name]) => `test/${name}.test.ts`);
  assert.ok(tests.length >= 10);
  assert.deepEqual(
    tests.filter((file) => !existsSync(join(ROOT, file))),
    [],
  );
});

test('the page of the architecture links to at least one name for each line of a step', () => {
  const [, life] = readPage('docs/architecture.md').split('## The life of one step');
  const lines = life!.split(/^\d+\. /m).slice(1);
  assert.ok(lines.length >= 10);
  for (const line of lines) assert.match(line, /\[`[\w.]+`\]\(\.\.\/(src|workers)\//);
});
