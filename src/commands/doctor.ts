export const command = { command: 'doctor', describe: 'x', handler: () => {} };
