/** The options of commands that several processes carry out together; their values are `JoinOptions`. */
import { text, wholeNumber } from './option_kinds.js';

export const hostGroup = 'Many hosts:';

export const hostOptions = {
  requireWorld: wholeNumber(1, {
    group: hostGroup,
    describe: 'Fail unless the launcher (mpirun, srun) has started this many processes',
  }),
  interface: text({
    group: hostGroup,
    describe: "Network interface between the hosts, such as eth1 (default: MPI's choice)",
  }),
};
