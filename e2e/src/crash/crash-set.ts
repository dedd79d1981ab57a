import type { ScenarioSet } from "../scenario.ts";
import { CHAIN_WINDOWS } from "./chain-windows.ts";
import { COMPUTE_WINDOWS } from "./compute-windows.ts";
import { HOST_WINDOWS } from "./host-windows.ts";
import { type Lab, openLab } from "./lab.ts";

const SCENARIOS = [...COMPUTE_WINDOWS, ...CHAIN_WINDOWS, ...HOST_WINDOWS].sort((a, b) => (a.id < b.id ? -1 : 1));

/** W26 takes a second wallet and W30 a second worker. */
const WALLETS = SCENARIOS.length + 2;

/**
 * The 30 windows in which a crash, or its like, hurts most; one scenario each. A worker is killed with SIGKILL at a checkpoint that
 * IEXEC_TEST_CRASH_AT names, something may happen while it is dead, it is started again on the same folders, and at the end every oracle of
 * oracles.ts is asked: one effect per intent on chain, no stake locked or lost, nothing left on the host, the app run once, journal and
 * scheduler of one mind.
 *
 * | window | checkpoint | what is special |
 * |---|---|---|
 * | W01 | `W01` assignment received, not journalled | it is asked for again |
 * | W02 | `W02` RUNNING recorded, nothing done | no TEE session exists: the standard part only |
 * | W03 | `W03` image, then dataset on disk, not recorded | two kills |
 * | W04 | `W04` app running | attached again, deadline unmoved |
 * | W05 | `W05` app exited, output not sealed | container kept and harvested |
 * | W06 | `W06` zip written, digest not recorded | sealed again |
 * | W07 | `W07` COMPUTED recorded, not reported | |
 * | W08 | `W08` before the contribution is registered | |
 * | W09 | `W09` contribution signed; `W09` again, sent | the chain mines nothing meanwhile |
 * | W10 | `W10` contribution mined, not recorded | |
 * | W11 | `W11` consensus seen, reveal not signed | folder deleted, scheduler unreachable |
 * | W12 | `W11` | down past the reveal deadline |
 * | W13 | none | scheduler unreachable from the computation to the reveal |
 * | W14 | `W14` reveal signed; `W14` again, sent | then the gas price rises |
 * | W15 | `W11` | wallet emptied, later refilled |
 * | W16 | `W16` reveal mined, not recorded | |
 * | W17 | `W17` upload asked, not begun | |
 * | W18 | `W18` uploaded, link not recorded | |
 * | W19 | `W19` link recorded, not reported | twin: no contributeAndFinalize without TEE |
 * | W20 | `W20` finalized, not recorded | twin, as above |
 * | W21 | none | scheduler replaced while the app runs |
 * | W22 | `W22` containers removed, folder not | |
 * | W23 | none | the contribution deadline passes as the app ends |
 * | W24 | a plain kill | no room for the zip |
 * | W25 | `W10` | every file but the journal deleted |
 * | W26 | `W11` | started with another wallet |
 * | W27 | `W11` | second process, twin elsewhere, foreign transaction |
 * | W28 | `W10`, `W16` | the chain drops the contribution, then the reveal |
 * | W29 | `W10` | first node of the list is behind and swallows transactions |
 * | W30 | `W05`; `W04` | clocks of host and chain differ |
 *
 * Behind each checkpoint of the transaction queue stands the name of the effect: `W09` and `W14` are passed once signed and journalled, and
 * once more at each sending.
 * @source compute.md 5.8
 */
export const crashSet: ScenarioSet<Lab> = {
  name: "crash",
  summary: "a worker is killed in each of the 30 crash windows and started again",
  async open(signal) {
    const lab = await openLab(WALLETS, signal);
    return { context: lab, close: () => lab.close() };
  },
  scenarios: SCENARIOS,
};
