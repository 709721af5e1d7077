/**
 * The house's rules for imports, types included: no circles, and each room imports only from rooms below it.
 * `npm run lint` checks them.
 */

/** From the top floor down. A room may import from the rooms after its own; rooms of one floor may not import each other. */
const FLOORS = [
  ['commands'],
  ['library'],
  ['training'],
  ['runs'],
  ['parallel', 'data'],
  ['model'],
  ['backend'],
];

const inRooms = (rooms) => `^src/(${rooms.join('|')})/`;

const floorRules = FLOORS.flatMap((rooms, floor) =>
  rooms.map((room) => ({
    name: `${room} imports only from the rooms below it`,
    severity: 'error',
    from: { path: inRooms([room]) },
    to: {
      path: inRooms(
        FLOORS.slice(0, floor + 1)
          .flat()
          .filter((other) => other !== room),
      ),
    },
  })),
);

export default {
  forbidden: [
    { name: 'no circles', severity: 'error', from: {}, to: { circular: true } },
    ...floorRules.filter(({ to }) => to.path !== inRooms([])),
    {
      name: 'report is a leaf',
      severity: 'error',
      from: { path: inRooms(['report']) },
      to: { path: inRooms(FLOORS.flat()) },
    },
    {
      name: 'what several rooms use imports no room above the model',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$', pathNot: '^src/(cli|index|configuration)\\.ts$' },
      to: { path: '^src/[^/]+/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
  },
};
