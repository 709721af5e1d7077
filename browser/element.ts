/** The page's element of this id; see src/report/classification_page.ts. @throws Error if it is of another kind */
export function element<Kind extends HTMLElement = HTMLElement>(
  id: string,
  kind?: new () => Kind,
): Kind {
  const found = document.getElementById(id);
  if (found === null || (kind !== undefined && !(found instanceof kind))) {
    throw new Error(`the page has no element ${id}`);
  }
  return found as Kind;
}
